import{J as a}from"./chunk-I7QNZ2PW.js";import"./chunk-JFKSI6I7.js";export{a as RallyApiKeys};
