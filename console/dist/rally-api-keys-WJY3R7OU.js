import{J as a}from"./chunk-WIZ6QU3K.js";import"./chunk-JFKSI6I7.js";export{a as RallyApiKeys};
