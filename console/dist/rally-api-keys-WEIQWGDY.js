import{I as a}from"./chunk-PY2FFXTP.js";export{a as RallyApiKeys};
