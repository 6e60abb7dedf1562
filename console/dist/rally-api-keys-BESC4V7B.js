import{J as a}from"./chunk-O5DSAG73.js";export{a as RallyApiKeys};
