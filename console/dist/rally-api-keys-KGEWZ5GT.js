import{I as a}from"./chunk-4C4623YQ.js";import"./chunk-JFKSI6I7.js";export{a as RallyApiKeys};
