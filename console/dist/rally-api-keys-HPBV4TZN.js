import{J as a}from"./chunk-NATDMHSX.js";import"./chunk-JFKSI6I7.js";export{a as RallyApiKeys};
