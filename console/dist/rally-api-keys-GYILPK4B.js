import{J as a}from"./chunk-S5LEFQRA.js";export{a as RallyApiKeys};
