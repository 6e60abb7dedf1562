import{I as a}from"./chunk-GAWHXBX7.js";export{a as RallyApiKeys};
