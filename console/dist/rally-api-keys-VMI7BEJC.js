import{J as a}from"./chunk-RPMQXMVK.js";export{a as RallyApiKeys};
