import{J as a}from"./chunk-Z2PRH7Z2.js";import"./chunk-JFKSI6I7.js";export{a as RallyApiKeys};
