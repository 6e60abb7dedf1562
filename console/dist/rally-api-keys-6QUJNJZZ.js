import{J as a}from"./chunk-BKCKOYHY.js";export{a as RallyApiKeys};
