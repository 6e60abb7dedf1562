import{J as a}from"./chunk-6RFSHDOM.js";import"./chunk-JFKSI6I7.js";export{a as RallyApiKeys};
