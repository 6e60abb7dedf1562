import{J as a}from"./chunk-MDDMSY5W.js";import"./chunk-JFKSI6I7.js";export{a as RallyApiKeys};
