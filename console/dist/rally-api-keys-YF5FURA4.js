import{J as a}from"./chunk-A5O5K2BS.js";import"./chunk-JFKSI6I7.js";export{a as RallyApiKeys};
