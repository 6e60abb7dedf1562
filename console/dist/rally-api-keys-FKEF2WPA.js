import{J as a}from"./chunk-4XZDRGEB.js";import"./chunk-JFKSI6I7.js";export{a as RallyApiKeys};
