import{J as a}from"./chunk-PJVUNTQI.js";export{a as RallyApiKeys};
