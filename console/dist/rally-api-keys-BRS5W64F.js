import{J as a}from"./chunk-SXS35GH7.js";import"./chunk-JFKSI6I7.js";export{a as RallyApiKeys};
