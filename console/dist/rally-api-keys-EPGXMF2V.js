import{J as a}from"./chunk-PEW7UORD.js";import"./chunk-JFKSI6I7.js";export{a as RallyApiKeys};
