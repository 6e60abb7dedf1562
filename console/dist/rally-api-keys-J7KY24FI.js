import{J as a}from"./chunk-5N63KMO4.js";import"./chunk-JFKSI6I7.js";export{a as RallyApiKeys};
