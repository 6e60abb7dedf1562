import{J as a}from"./chunk-UJAJRDMB.js";import"./chunk-JFKSI6I7.js";export{a as RallyApiKeys};
