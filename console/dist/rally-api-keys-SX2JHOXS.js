import{I as a}from"./chunk-V7MCU74O.js";import"./chunk-JFKSI6I7.js";export{a as RallyApiKeys};
