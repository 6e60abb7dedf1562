import{J as a}from"./chunk-42GI3ZYP.js";import"./chunk-JFKSI6I7.js";export{a as RallyApiKeys};
