import{J as a}from"./chunk-UMWVOOB5.js";export{a as RallyApiKeys};
