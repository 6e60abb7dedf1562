import{a as p}from"./chunk-JFKSI6I7.js";var Ye=globalThis,Ve=Ye.ShadowRoot&&(Ye.ShadyCSS===void 0||Ye.ShadyCSS.nativeShadow)&&"adoptedStyleSheets"in Document.prototype&&"replace"in CSSStyleSheet.prototype,ut=Symbol(),It=new WeakMap,Te=class{constructor(s,e,r){if(this._$cssResult$=!0,r!==ut)throw Error("CSSResult is not constructable. Use `unsafeCSS` or `css` instead.");this.cssText=s,this.t=e}get styleSheet(){let s=this.o,e=this.t;if(Ve&&s===void 0){let r=e!==void 0&&e.length===1;r&&(s=It.get(e)),s===void 0&&((this.o=s=new CSSStyleSheet).replaceSync(this.cssText),r&&It.set(e,s))}return s}toString(){return this.cssText}},Ot=t=>new Te(typeof t=="string"?t:t+"",void 0,ut),T=(t,...s)=>{let e=t.length===1?t[0]:s.reduce((r,i,n)=>r+(a=>{if(a._$cssResult$===!0)return a.cssText;if(typeof a=="number")return a;throw Error("Value passed to 'css' function must be a 'css' function result: "+a+". Use 'unsafeCSS' to pass non-literal values, but take care to ensure page security.")})(i)+t[n+1],t[0]);return new Te(e,t,ut)},Dt=(t,s)=>{if(Ve)t.adoptedStyleSheets=s.map(e=>e instanceof CSSStyleSheet?e:e.styleSheet);else for(let e of s){let r=document.createElement("style"),i=Ye.litNonce;i!==void 0&&r.setAttribute("nonce",i),r.textContent=e.cssText,t.appendChild(r)}},ht=Ve?t=>t:t=>t instanceof CSSStyleSheet?(s=>{let e="";for(let r of s.cssRules)e+=r.cssText;return Ot(e)})(t):t;var{is:Bs,defineProperty:js,getOwnPropertyDescriptor:Fs,getOwnPropertyNames:Ws,getOwnPropertySymbols:Ys,getPrototypeOf:Vs}=Object,Qe=globalThis,Ht=Qe.trustedTypes,Qs=Ht?Ht.emptyScript:"",Js=Qe.reactiveElementPolyfillSupport,_e=(t,s)=>t,Pe={toAttribute(t,s){switch(s){case Boolean:t=t?Qs:null;break;case Object:case Array:t=t==null?t:JSON.stringify(t)}return t},fromAttribute(t,s){let e=t;switch(s){case Boolean:e=t!==null;break;case Number:e=t===null?null:Number(t);break;case Object:case Array:try{e=JSON.parse(t)}catch{e=null}}return e}},Je=(t,s)=>!Bs(t,s),zt={attribute:!0,type:String,converter:Pe,reflect:!1,useDefault:!1,hasChanged:Je};Symbol.metadata??=Symbol("metadata"),Qe.litPropertyMetadata??=new WeakMap;var G=class extends HTMLElement{static addInitializer(s){this._$Ei(),(this.l??=[]).push(s)}static get observedAttributes(){return this.finalize(),this._$Eh&&[...this._$Eh.keys()]}static createProperty(s,e=zt){if(e.state&&(e.attribute=!1),this._$Ei(),this.prototype.hasOwnProperty(s)&&((e=Object.create(e)).wrapped=!0),this.elementProperties.set(s,e),!e.noAccessor){let r=Symbol(),i=this.getPropertyDescriptor(s,r,e);i!==void 0&&js(this.prototype,s,i)}}static getPropertyDescriptor(s,e,r){let{get:i,set:n}=Fs(this.prototype,s)??{get(){return this[e]},set(a){this[e]=a}};return{get:i,set(a){let d=i?.call(this);n?.call(this,a),this.requestUpdate(s,d,r)},configurable:!0,enumerable:!0}}static getPropertyOptions(s){return this.elementProperties.get(s)??zt}static _$Ei(){if(this.hasOwnProperty(_e("elementProperties")))return;let s=Vs(this);s.finalize(),s.l!==void 0&&(this.l=[...s.l]),this.elementProperties=new Map(s.elementProperties)}static finalize(){if(this.hasOwnProperty(_e("finalized")))return;if(this.finalized=!0,this._$Ei(),this.hasOwnProperty(_e("properties"))){let e=this.properties,r=[...Ws(e),...Ys(e)];for(let i of r)this.createProperty(i,e[i])}let s=this[Symbol.metadata];if(s!==null){let e=litPropertyMetadata.get(s);if(e!==void 0)for(let[r,i]of e)this.elementProperties.set(r,i)}this._$Eh=new Map;for(let[e,r]of this.elementProperties){let i=this._$Eu(e,r);i!==void 0&&this._$Eh.set(i,e)}this.elementStyles=this.finalizeStyles(this.styles)}static finalizeStyles(s){let e=[];if(Array.isArray(s)){let r=new Set(s.flat(1/0).reverse());for(let i of r)e.unshift(ht(i))}else s!==void 0&&e.push(ht(s));return e}static _$Eu(s,e){let r=e.attribute;return r===!1?void 0:typeof r=="string"?r:typeof s=="string"?s.toLowerCase():void 0}constructor(){super(),this._$Ep=void 0,this.isUpdatePending=!1,this.hasUpdated=!1,this._$Em=null,this._$Ev()}_$Ev(){this._$ES=new Promise(s=>this.enableUpdating=s),this._$AL=new Map,this._$E_(),this.requestUpdate(),this.constructor.l?.forEach(s=>s(this))}addController(s){(this._$EO??=new Set).add(s),this.renderRoot!==void 0&&this.isConnected&&s.hostConnected?.()}removeController(s){this._$EO?.delete(s)}_$E_(){let s=new Map,e=this.constructor.elementProperties;for(let r of e.keys())this.hasOwnProperty(r)&&(s.set(r,this[r]),delete this[r]);s.size>0&&(this._$Ep=s)}createRenderRoot(){let s=this.shadowRoot??this.attachShadow(this.constructor.shadowRootOptions);return Dt(s,this.constructor.elementStyles),s}connectedCallback(){this.renderRoot??=this.createRenderRoot(),this.enableUpdating(!0),this._$EO?.forEach(s=>s.hostConnected?.())}enableUpdating(s){}disconnectedCallback(){this._$EO?.forEach(s=>s.hostDisconnected?.())}attributeChangedCallback(s,e,r){this._$AK(s,r)}_$ET(s,e){let r=this.constructor.elementProperties.get(s),i=this.constructor._$Eu(s,r);if(i!==void 0&&r.reflect===!0){let n=(r.converter?.toAttribute!==void 0?r.converter:Pe).toAttribute(e,r.type);this._$Em=s,n==null?this.removeAttribute(i):this.setAttribute(i,n),this._$Em=null}}_$AK(s,e){let r=this.constructor,i=r._$Eh.get(s);if(i!==void 0&&this._$Em!==i){let n=r.getPropertyOptions(i),a=typeof n.converter=="function"?{fromAttribute:n.converter}:n.converter?.fromAttribute!==void 0?n.converter:Pe;this._$Em=i;let d=a.fromAttribute(e,n.type);this[i]=d??this._$Ej?.get(i)??d,this._$Em=null}}requestUpdate(s,e,r,i=!1,n){if(s!==void 0){let a=this.constructor;if(i===!1&&(n=this[s]),r??=a.getPropertyOptions(s),!((r.hasChanged??Je)(n,e)||r.useDefault&&r.reflect&&n===this._$Ej?.get(s)&&!this.hasAttribute(a._$Eu(s,r))))return;this.C(s,e,r)}this.isUpdatePending===!1&&(this._$ES=this._$EP())}C(s,e,{useDefault:r,reflect:i,wrapped:n},a){r&&!(this._$Ej??=new Map).has(s)&&(this._$Ej.set(s,a??e??this[s]),n!==!0||a!==void 0)||(this._$AL.has(s)||(this.hasUpdated||r||(e=void 0),this._$AL.set(s,e)),i===!0&&this._$Em!==s&&(this._$Eq??=new Set).add(s))}async _$EP(){this.isUpdatePending=!0;try{await this._$ES}catch(e){Promise.reject(e)}let s=this.scheduleUpdate();return s!=null&&await s,!this.isUpdatePending}scheduleUpdate(){return this.performUpdate()}performUpdate(){if(!this.isUpdatePending)return;if(!this.hasUpdated){if(this.renderRoot??=this.createRenderRoot(),this._$Ep){for(let[i,n]of this._$Ep)this[i]=n;this._$Ep=void 0}let r=this.constructor.elementProperties;if(r.size>0)for(let[i,n]of r){let{wrapped:a}=n,d=this[i];a!==!0||this._$AL.has(i)||d===void 0||this.C(i,void 0,n,d)}}let s=!1,e=this._$AL;try{s=this.shouldUpdate(e),s?(this.willUpdate(e),this._$EO?.forEach(r=>r.hostUpdate?.()),this.update(e)):this._$EM()}catch(r){throw s=!1,this._$EM(),r}s&&this._$AE(e)}willUpdate(s){}_$AE(s){this._$EO?.forEach(e=>e.hostUpdated?.()),this.hasUpdated||(this.hasUpdated=!0,this.firstUpdated(s)),this.updated(s)}_$EM(){this._$AL=new Map,this.isUpdatePending=!1}get updateComplete(){return this.getUpdateComplete()}getUpdateComplete(){return this._$ES}shouldUpdate(s){return!0}update(s){this._$Eq&&=this._$Eq.forEach(e=>this._$ET(e,this[e])),this._$EM()}updated(s){}firstUpdated(s){}};G.elementStyles=[],G.shadowRootOptions={mode:"open"},G[_e("elementProperties")]=new Map,G[_e("finalized")]=new Map,Js?.({ReactiveElement:G}),(Qe.reactiveElementVersions??=[]).push("2.1.2");var $t=globalThis,Kt=t=>t,Ge=$t.trustedTypes,Bt=Ge?Ge.createPolicy("lit-html",{createHTML:t=>t}):void 0,Qt="$lit$",re=`lit$${Math.random().toFixed(9).slice(2)}$`,Jt="?"+re,Gs=`<${Jt}>`,pe=document,Ce=()=>pe.createComment(""),qe=t=>t===null||typeof t!="object"&&typeof t!="function",xt=Array.isArray,Xs=t=>xt(t)||typeof t?.[Symbol.iterator]=="function",mt=`[ 	
\f\r]`,Re=/<(?:(!--|\/[^a-zA-Z])|(\/?[a-zA-Z][^>\s]*)|(\/?$))/g,jt=/-->/g,Ft=/>/g,de=RegExp(`>|${mt}(?:([^\\s"'>=/]+)(${mt}*=${mt}*(?:[^ 	
\f\r"'\`<>=]|("|')|))|$)`,"g"),Wt=/'/g,Yt=/"/g,Gt=/^(?:script|style|textarea|title)$/i,kt=t=>(s,...e)=>({_$litType$:t,strings:s,values:e}),o=kt(1),he=kt(2),Qr=kt(3),ue=Symbol.for("lit-noChange"),c=Symbol.for("lit-nothing"),Vt=new WeakMap,ce=pe.createTreeWalker(pe,129);function Xt(t,s){if(!xt(t)||!t.hasOwnProperty("raw"))throw Error("invalid template strings array");return Bt!==void 0?Bt.createHTML(s):s}var Zs=(t,s)=>{let e=t.length-1,r=[],i,n=s===2?"<svg>":s===3?"<math>":"",a=Re;for(let d=0;d<e;d++){let u=t[d],b,y,v=-1,R=0;for(;R<u.length&&(a.lastIndex=R,y=a.exec(u),y!==null);)R=a.lastIndex,a===Re?y[1]==="!--"?a=jt:y[1]!==void 0?a=Ft:y[2]!==void 0?(Gt.test(y[2])&&(i=RegExp("</"+y[2],"g")),a=de):y[3]!==void 0&&(a=de):a===de?y[0]===">"?(a=i??Re,v=-1):y[1]===void 0?v=-2:(v=a.lastIndex-y[2].length,b=y[1],a=y[3]===void 0?de:y[3]==='"'?Yt:Wt):a===Yt||a===Wt?a=de:a===jt||a===Ft?a=Re:(a=de,i=void 0);let q=a===de&&t[d+1].startsWith("/>")?" ":"";n+=a===Re?u+Gs:v>=0?(r.push(b),u.slice(0,v)+Qt+u.slice(v)+re+q):u+re+(v===-2?d:q)}return[Xt(t,n+(t[e]||"<?>")+(s===2?"</svg>":s===3?"</math>":"")),r]},Me=class t{constructor({strings:s,_$litType$:e},r){let i;this.parts=[];let n=0,a=0,d=s.length-1,u=this.parts,[b,y]=Zs(s,e);if(this.el=t.createElement(b,r),ce.currentNode=this.el.content,e===2||e===3){let v=this.el.content.firstChild;v.replaceWith(...v.childNodes)}for(;(i=ce.nextNode())!==null&&u.length<d;){if(i.nodeType===1){if(i.hasAttributes())for(let v of i.getAttributeNames())if(v.endsWith(Qt)){let R=y[a++],q=i.getAttribute(v).split(re),We=/([.?@])?(.*)/.exec(R);u.push({type:1,index:n,name:We[2],strings:q,ctor:We[1]==="."?yt:We[1]==="?"?gt:We[1]==="@"?bt:be}),i.removeAttribute(v)}else v.startsWith(re)&&(u.push({type:6,index:n}),i.removeAttribute(v));if(Gt.test(i.tagName)){let v=i.textContent.split(re),R=v.length-1;if(R>0){i.textContent=Ge?Ge.emptyScript:"";for(let q=0;q<R;q++)i.append(v[q],Ce()),ce.nextNode(),u.push({type:2,index:++n});i.append(v[R],Ce())}}}else if(i.nodeType===8)if(i.data===Jt)u.push({type:2,index:n});else{let v=-1;for(;(v=i.data.indexOf(re,v+1))!==-1;)u.push({type:7,index:n}),v+=re.length-1}n++}}static createElement(s,e){let r=pe.createElement("template");return r.innerHTML=s,r}};function ge(t,s,e=t,r){if(s===ue)return s;let i=r!==void 0?e._$Co?.[r]:e._$Cl,n=qe(s)?void 0:s._$litDirective$;return i?.constructor!==n&&(i?._$AO?.(!1),n===void 0?i=void 0:(i=new n(t),i._$AT(t,e,r)),r!==void 0?(e._$Co??=[])[r]=i:e._$Cl=i),i!==void 0&&(s=ge(t,i._$AS(t,s.values),i,r)),s}var ft=class{constructor(s,e){this._$AV=[],this._$AN=void 0,this._$AD=s,this._$AM=e}get parentNode(){return this._$AM.parentNode}get _$AU(){return this._$AM._$AU}u(s){let{el:{content:e},parts:r}=this._$AD,i=(s?.creationScope??pe).importNode(e,!0);ce.currentNode=i;let n=ce.nextNode(),a=0,d=0,u=r[0];for(;u!==void 0;){if(a===u.index){let b;u.type===2?b=new Le(n,n.nextSibling,this,s):u.type===1?b=new u.ctor(n,u.name,u.strings,this,s):u.type===6&&(b=new vt(n,this,s)),this._$AV.push(b),u=r[++d]}a!==u?.index&&(n=ce.nextNode(),a++)}return ce.currentNode=pe,i}p(s){let e=0;for(let r of this._$AV)r!==void 0&&(r.strings!==void 0?(r._$AI(s,r,e),e+=r.strings.length-2):r._$AI(s[e])),e++}},Le=class t{get _$AU(){return this._$AM?._$AU??this._$Cv}constructor(s,e,r,i){this.type=2,this._$AH=c,this._$AN=void 0,this._$AA=s,this._$AB=e,this._$AM=r,this.options=i,this._$Cv=i?.isConnected??!0}get parentNode(){let s=this._$AA.parentNode,e=this._$AM;return e!==void 0&&s?.nodeType===11&&(s=e.parentNode),s}get startNode(){return this._$AA}get endNode(){return this._$AB}_$AI(s,e=this){s=ge(this,s,e),qe(s)?s===c||s==null||s===""?(this._$AH!==c&&this._$AR(),this._$AH=c):s!==this._$AH&&s!==ue&&this._(s):s._$litType$!==void 0?this.$(s):s.nodeType!==void 0?this.T(s):Xs(s)?this.k(s):this._(s)}O(s){return this._$AA.parentNode.insertBefore(s,this._$AB)}T(s){this._$AH!==s&&(this._$AR(),this._$AH=this.O(s))}_(s){this._$AH!==c&&qe(this._$AH)?this._$AA.nextSibling.data=s:this.T(pe.createTextNode(s)),this._$AH=s}$(s){let{values:e,_$litType$:r}=s,i=typeof r=="number"?this._$AC(s):(r.el===void 0&&(r.el=Me.createElement(Xt(r.h,r.h[0]),this.options)),r);if(this._$AH?._$AD===i)this._$AH.p(e);else{let n=new ft(i,this),a=n.u(this.options);n.p(e),this.T(a),this._$AH=n}}_$AC(s){let e=Vt.get(s.strings);return e===void 0&&Vt.set(s.strings,e=new Me(s)),e}k(s){xt(this._$AH)||(this._$AH=[],this._$AR());let e=this._$AH,r,i=0;for(let n of s)i===e.length?e.push(r=new t(this.O(Ce()),this.O(Ce()),this,this.options)):r=e[i],r._$AI(n),i++;i<e.length&&(this._$AR(r&&r._$AB.nextSibling,i),e.length=i)}_$AR(s=this._$AA.nextSibling,e){for(this._$AP?.(!1,!0,e);s!==this._$AB;){let r=Kt(s).nextSibling;Kt(s).remove(),s=r}}setConnected(s){this._$AM===void 0&&(this._$Cv=s,this._$AP?.(s))}},be=class{get tagName(){return this.element.tagName}get _$AU(){return this._$AM._$AU}constructor(s,e,r,i,n){this.type=1,this._$AH=c,this._$AN=void 0,this.element=s,this.name=e,this._$AM=i,this.options=n,r.length>2||r[0]!==""||r[1]!==""?(this._$AH=Array(r.length-1).fill(new String),this.strings=r):this._$AH=c}_$AI(s,e=this,r,i){let n=this.strings,a=!1;if(n===void 0)s=ge(this,s,e,0),a=!qe(s)||s!==this._$AH&&s!==ue,a&&(this._$AH=s);else{let d=s,u,b;for(s=n[0],u=0;u<n.length-1;u++)b=ge(this,d[r+u],e,u),b===ue&&(b=this._$AH[u]),a||=!qe(b)||b!==this._$AH[u],b===c?s=c:s!==c&&(s+=(b??"")+n[u+1]),this._$AH[u]=b}a&&!i&&this.j(s)}j(s){s===c?this.element.removeAttribute(this.name):this.element.setAttribute(this.name,s??"")}},yt=class extends be{constructor(){super(...arguments),this.type=3}j(s){this.element[this.name]=s===c?void 0:s}},gt=class extends be{constructor(){super(...arguments),this.type=4}j(s){this.element.toggleAttribute(this.name,!!s&&s!==c)}},bt=class extends be{constructor(s,e,r,i,n){super(s,e,r,i,n),this.type=5}_$AI(s,e=this){if((s=ge(this,s,e,0)??c)===ue)return;let r=this._$AH,i=s===c&&r!==c||s.capture!==r.capture||s.once!==r.once||s.passive!==r.passive,n=s!==c&&(r===c||i);i&&this.element.removeEventListener(this.name,this,r),n&&this.element.addEventListener(this.name,this,s),this._$AH=s}handleEvent(s){typeof this._$AH=="function"?this._$AH.call(this.options?.host??this.element,s):this._$AH.handleEvent(s)}},vt=class{constructor(s,e,r){this.element=s,this.type=6,this._$AN=void 0,this._$AM=e,this.options=r}get _$AU(){return this._$AM._$AU}_$AI(s){ge(this,s)}};var er=$t.litHtmlPolyfillSupport;er?.(Me,Le),($t.litHtmlVersions??=[]).push("3.3.3");var Zt=(t,s,e)=>{let r=e?.renderBefore??s,i=r._$litPart$;if(i===void 0){let n=e?.renderBefore??null;r._$litPart$=i=new Le(s.insertBefore(Ce(),n),n,void 0,e??{})}return i._$AI(t),i};var wt=globalThis,W=class extends G{constructor(){super(...arguments),this.renderOptions={host:this},this._$Do=void 0}createRenderRoot(){let s=super.createRenderRoot();return this.renderOptions.renderBefore??=s.firstChild,s}update(s){let e=this.render();this.hasUpdated||(this.renderOptions.isConnected=this.isConnected),super.update(s),this._$Do=Zt(e,this.renderRoot,this.renderOptions)}connectedCallback(){super.connectedCallback(),this._$Do?.setConnected(!0)}disconnectedCallback(){super.disconnectedCallback(),this._$Do?.setConnected(!1)}render(){return ue}};W._$litElement$=!0,W.finalized=!0,wt.litElementHydrateSupport?.({LitElement:W});var tr=wt.litElementPolyfillSupport;tr?.({LitElement:W});(wt.litElementVersions??=[]).push("4.2.2");var sr={attribute:!0,type:String,converter:Pe,reflect:!1,hasChanged:Je},rr=(t=sr,s,e)=>{let{kind:r,metadata:i}=e,n=globalThis.litPropertyMetadata.get(i);if(n===void 0&&globalThis.litPropertyMetadata.set(i,n=new Map),r==="setter"&&((t=Object.create(t)).wrapped=!0),n.set(e.name,t),r==="accessor"){let{name:a}=e;return{set(d){let u=s.get.call(this);s.set.call(this,d),this.requestUpdate(a,u,t,!0,d)},init(d){return d!==void 0&&this.C(a,void 0,t,d),d}}}if(r==="setter"){let{name:a}=e;return function(d){let u=this[a];s.call(this,d),this.requestUpdate(a,u,t,!0,d)}}throw Error("Unsupported decorator location: "+r)};function h(t){return(s,e)=>typeof e=="object"?rr(t,s,e):((r,i,n)=>{let a=i.hasOwnProperty(n);return i.constructor.createProperty(n,r),a?Object.getOwnPropertyDescriptor(i,n):void 0})(t,s,e)}function m(t){return h({...t,state:!0,attribute:!1})}var ve=(t,s,e)=>new Intl.PluralRules("en").select(t)==="one"?s:e,O=t=>new Intl.NumberFormat("en").format(t),l={language:"en",time:{justNow:"just now",inAMoment:"in a moment",never:"Never"},common:{cancel:"Cancel",close:"Close",back:"Back",save:"Save changes",saving:"Saving…",loading:"Loading…",retry:"Try again",reload:"Reload",copy:"Copy",copied:"Copied",copyFailed:"Select and copy by hand",none:"None",any:"Any",optional:"optional",requestId:"Request id",slow:"This takes longer than usual. Still waiting for the service…"},errors:{offline:"Your computer is not connected to a network. Nothing was sent.",unreachable:"The service could not be reached, or the connection broke before its response arrived.",noResponse:"The service did not respond within 40 seconds.",signedOut:"You are not signed in, or your session has ended.",status:t=>`The service, or a proxy before it, responded with status ${t}.`,offlineTitle:"You are offline",unreachableTitle:"No connection to the service",sessionTitle:"Sign in again",forbiddenTitle:"You may not do this",notFoundTitle:"This key does not exist",tenantTitle:"This address belongs to no tenant",conflictTitle:"The key has changed in the meantime",revokedTitle:"This key is revoked",expiredTitle:"This key is expired",policyTitle:"Your policy does not allow this",limitTitle:"Too many requests",unavailableTitle:"The service is not available right now",inputTitle:"Please correct the marked fields",otherTitle:"That did not work",signIn:"Sign in again",retryIn:t=>`Try again in ${O(t)} s`,retriesIn:t=>`Next attempt in ${O(t)} s`,retriesOnline:"It loads by itself once you are online again."},status:{active:"Active",suspended:"Suspended",expired:"Expired",revoked:"Revoked",suspendedUntil:t=>`Suspended until ${t}`},scopes:{legend:"What may it do?",read:"Read",write:"Read and write",admin:"Administer",readHint:"Sees the data of your CRM, and changes nothing.",writeHint:"Sees, creates, changes and deletes data of your CRM.",adminHint:"All of that, and manages your API keys: only for programs that create and revoke keys themselves.",notAllowed:"Your policy does not allow this.",notGranted:"You do not have this permission yourself."},list:{title:"API keys",intro:"Each program that works with your CRM signs in with a key of its own.",create:"Create key",search:"Search",searchPlaceholder:"Name, description or last 4 digits",statusFilter:"Status",all:"All",more:t=>`${t}+`,marksFilter:"Needs attention",neverUsed:"Never used",idle:"Idle for 90 days",expiring:"Expires within 30 days",oldSecret:"Old secret still works",markNeverUsed:"Never used",markIdle:"Idle",markExpiring:"Expires soon",markOldSecret:"Old secret works",markOldSecretUsed:"Old secret in use",scope:"Permission",scopeAny:"Any",createdBy:"Created by",createdByAnyone:"Anyone",createdByMe:"Me",sort:"Order",sorts:{"-createdAt":"Newest first",createdAt:"Oldest first",name:"Name, A to Z","-name":"Name, Z to A","-lastUsedAt":"Last used first",lastUsedAt:"Longest unused first",expiresAt:"Expires first","-expiresAt":"Expires last"},columnName:"Name",columnScopes:"Permission",columnUsage:"Requests, 30 days",columnLastUsed:"Last used",columnExpires:"Expires",columnCreated:"Created",columnStatus:"Status",usage:t=>`${t} requests in the last 30 days`,by:t=>`by ${t}`,range:(t,s,e)=>`${t}–${s} of ${e}`,rangeOpen:(t,s)=>`${t}–${s}`,previous:"Previous",next:"Next",pages:"Pages",found:t=>`${O(t)} ${ve(t,"key","keys")} shown`,nothingFound:"No key matches",nothingFoundHint:"Change the search or the filters to see more.",clear:"Clear search and filters",emptyTitle:"No API key yet",emptyText:"An API key lets a program (an integration, a script, a nightly job) work with your CRM without a user’s password.",emptyPoints:["Give each program a key of its own: then you see what it does, and can stop it alone.","The secret is shown once, when you create the key. Keep it where the program’s other secrets are.","Let keys end. A key can be rotated without an interruption."],emptyReader:"Nobody has created one. Creating keys needs the admin permission.",key:t=>`Open ${t}`},form:{createTitle:"Create an API key",editTitle:"Edit key",name:"Name",nameHint:"The program that will use it, such as “Zapier Sync”.",description:"Description",descriptionHint:"What it does, and whom to ask about it.",expiry:"When does it end?",days30:"30 days",days90:"90 days",days365:"1 year",custom:"Other",never:"Never",keep:"As it is",customAt:"Ends at",endsAt:t=>`Ends ${t}. You can rotate or extend it before.`,neverWarning:"A key without an end works until somebody revokes it, also when it was lost or forgotten. Prefer an end, and rotate.",limits:"Limits",limitsHint:"Where from, how fast, how much",addresses:"Allowed addresses",addressesHint:"IP addresses or CIDR blocks, one a line: 203.0.113.7 or 2001:db8::/32. Empty: from anywhere.",addressLine:(t,s)=>`Line ${t} (${s})`,rate:"Rate limit",rateHint:"A burst may use all of them at once. Empty: no limit.",rateRequests:"Requests",rateWindow:"in each",second:"second",minute:"minute",hour:"hour",day:"day",month:"month",quota:"Quota",quotaHint:"Days and months begin at midnight UTC. Empty: no quota.",quotaPer:"in each",policy:"Your policy",policyLifetime:t=>`keys end within ${O(t)} ${ve(t,"day","days")}`,policyKeys:(t,s)=>`${O(t)} of at most ${O(s)} keys are in use`,policyAddresses:"allowed addresses are required",policyRate:(t,s)=>`without a rate limit of its own, a key gets ${t} requests in ${s}`,policyLonger:"Longer than your policy allows.",create:"Create key",creating:"Creating…",nameRequired:"Enter a name.",customRequired:"Choose a date and time in the future.",numberRequired:"Enter a whole number, 1 or more."},secret:{createdTitle:"Copy the secret now",rotatedTitle:"Copy the new secret now",lead:t=>`This is the secret of “${t}”. It is shown this once: nobody, us included, can show it again.`,label:"Secret",copy:"Copy secret",snippets:"Try it",stored:"I have stored the secret in a safe place",done:"Done",notStored:"Store the secret first, then confirm it below. After closing, it cannot be shown again.",shell:"curl",python:"Python",node:"Node.js",snippetHint:"First set the environment variable RALLY_API_KEY to the secret, so that it stays out of your code.",snippetAddresses:"Only requests from its allowed addresses are let in."},key:{back:"All keys",unknown:"API key",edit:"Edit",rotate:"Rotate",suspend:"Suspend",resume:"Resume",revoke:"Revoke",actions:"Actions",about:"About this key",id:"Id",hint:"Secret",scopes:"Permission",created:"Created",createdBy:"Created by",lastUsed:"Last used",expires:"Expires",revoked:"Revoked",addresses:"Allowed addresses",addressesAny:"From anywhere",rateLimit:"Rate limit",quota:"Quota",quotaUsed:(t,s)=>`${t} of ${s} used`,noLimit:"None",rate:(t,s)=>`${t} requests in each ${s}`,quotaPerDay:t=>`${t} requests a day`,quotaPerMonth:t=>`${t} requests a month`,usage:"Requests",callers:"Who used it in the last 30 days",callersHint:"Refused requests are not counted here.",callersNone:"No request was let in.",callerAddress:"Address",callerProgram:"Program",callerRequests:"Requests",callerLast:"Last seen",callerSecret:"Secret",callerSecretCurrent:"Current",callerSecretPrevious:"Old",callerMany:"Many addresses",callerManyHint:"Callers that came too fast to be told apart",callerNoProgram:"No program name sent",events:"What happened",suspendedBanner:"This key is suspended: every request with it is refused.",suspendedBannerUntil:t=>`This key is suspended until ${t}: until then every request with it is refused.`,expiredBanner:"This key is expired: every request with it is refused. A later end makes it work again.",revokedBanner:"This key was revoked for good.",changedMeanwhile:"Updated"},rotation:{title:"Rotation in progress",until:t=>`The old secret ${t} still works until`,usedBy:(t,s)=>`Old secret last used ${t} by ${s}`,used:t=>`Old secret last used ${t}`,unused:"Nobody has used the old secret since the rotation.",stillOld:"Still on the old secret",moved:"Uses the new secret",silent:"Not seen since the rotation",end:"End the old secret now",endTitle:"End the old secret?",endText:"Programs that still use it are refused from that moment on.",endUsed:t=>`It was last used ${t}. Whoever used it will be refused.`,programs:"Programs",elapsed:t=>`${t} % of the overlap has passed`},rotate:{title:t=>`Rotate “${t}”`,lead:"The key gets a new secret and keeps its name, permission and usage.",steps:["You get the new secret, and give it to the program.","Until the overlap ends, both secrets work.","The key’s page shows who still uses the old one."],overlap:"How long shall the old secret still work?",none:"Not at all",noneHint:"For a secret that has leaked. Programs that use it fail at once.",hour:"1 hour",day:"1 day",week:"7 days",capped:t=>`The key itself ends ${t}, and the old secret with it.`,already:t=>`A rotation is in progress already: rotating again ends the secret ${t} at once.`,submit:"Rotate",busy:"Rotating…"},suspend:{title:t=>`Suspend “${t}”`,lead:"Every request with this key is refused until you resume it. Nothing is lost.",until:"Until when?",untilResumed:"Until I resume it",hour:"1 hour",day:"1 day",week:"7 days",custom:"Other",customAt:"Until",submit:"Suspend",busy:"Suspending…",resumeTitle:t=>`Resume “${t}”`,resumeLead:"Requests with this key are let in again at once.",resumeSubmit:"Resume",resumeBusy:"Resuming…"},reason:{label:"Reason",hint:"For the audit trail, in one line."},revoke:{title:t=>`Revoke “${t}”`,lead:"The key stops working within 100 ms, for good. It cannot be undone.",recent:"Used in the last 24 hours by",recentNone:"No use is recorded in the last 24 hours. Records are up to a minute behind.",recentUnknown:"Who uses the key could not be loaded, so assume that somebody does.",suspendFirst:"Not sure? Suspend it first: if something breaks, resume it.",suspendInstead:"Suspend instead",typeName:t=>`This key was used in the last 24 hours. Type its name, ${t}, to confirm.`,typeMismatch:"This is not the name of the key.",proven:(t,s)=>`Proven: no instance of the service accepts it any more. Instances: ${t}, the slowest within ${s} ms.`,unproven:"An instance has not acknowledged it yet. The audit trail will have the proof.",submit:"Revoke for good",busy:"Revoking…"},conflict:{title:"Somebody else has changed this key",by:t=>`${t} changed it while you were editing,`,field:"Field",before:"Before",theirs:"Now",yours:"Yours",unchanged:"not changed",takeTheirs:"Take theirs",saveMine:"Save mine all the same",revoked:"The key was revoked in the meantime and cannot be changed any more."},usage:{range:"Time span",day:"24 hours",week:"7 days",month:"30 days",quarter:"90 days",accepted:"Let in",total:t=>`${t} requests`,refused:t=>`${t} refused`,nothing:"No request in this time.",readout:"Point at a bar, or use the arrow keys, for its numbers.",chart:"Requests over time",table:"Show as a table",columnStart:"From",columnRequests:"Requests",columnRefused:"Refused",reasons:{expired:"Key expired",scope:"Permission missing",revoked:"Revoked, or old secret",suspended:"Key suspended",address:"Address not allowed",rateLimit:"Over the rate limit",quota:"Over the quota"},tenantTitle:"Usage",tenantIntro:"Requests with all keys together.",latest:"Last used keys"},events:{types:{created:"Created",updated:"Changed",rotated:"Rotated",previous_secret_ended:"Old secret ended",suspended:"Suspended",resumed:"Resumed",revoked:"Revoked",secret_reused:"Ended secret used",leaked:"Reported as leaked",decoy_used:"Decoy used",receipt:"Change proven",idle_notice:"Idle key notice",exposed:"Sent over plain HTTP",policy_changed:"Policy changed"},sentence:{created:(t,s)=>`${t} created ${s}`,updated:(t,s)=>`${t} changed ${s}`,rotated:(t,s)=>`${t} rotated ${s}`,previous_secret_ended:(t,s)=>`${t} ended the old secret of ${s}`,suspended:(t,s)=>`${t} suspended ${s}`,resumed:(t,s)=>`${t} resumed ${s}`,revoked:(t,s)=>`${t} revoked ${s}`,secret_reused:(t,s)=>`Somebody used an ended secret of ${s}`,exposed:(t,s)=>`Somebody sent a secret of ${s} over plain HTTP`,decoy_used:(t,s)=>`Somebody used ${s}, which is a decoy`,leaked:(t,s)=>`A secret of ${s} was reported as leaked`,receipt:(t,s)=>`Proven: no instance accepts ${s} as it was before the change`,idle_notice:(t,s)=>`Nobody uses ${s}: it will be suspended`,policy_changed:t=>`${t} changed the policy`},thisKey:"the key",somebody:"Somebody",key:t=>`the key “${t}”`,operator:t=>`${t} (operator)`,from:t=>`from ${t}`,foundAt:t=>`Found at ${t}`,leakActions:{revoked:"The key was revoked",suspended:"The key was suspended",secret_ended:"That secret was ended",none:"Nothing was changed"},granted:t=>`Permission: ${t}`,ends:t=>`Ends ${t}`,endsNever:"No end",change:(t,s,e)=>`${t}: ${s} → ${e}`,overlap:(t,s)=>`The old secret ${t} works until ${s}`,overlapNone:t=>`The old secret ${t} ended at once`,newSecret:t=>`New secret ${t}`,secret:t=>`Secret ${t}`,until:t=>`Until ${t}`,suspendedOn:t=>`On ${t}, unless it is used before`,reason:t=>`Reason: ${t}`,proven:(t,s)=>`Instances: ${t}, the slowest within ${s} ms`,none:"Nothing yet.",older:"Show older",fields:{name:"Name",scopes:"Permission",expiresAt:"End",description:"Description",allowedAddresses:"Allowed addresses",rateLimit:"Rate limit",quota:"Quota",maxLifetimeDays:"Longest life in days",maxActiveKeys:"Number of keys",idleSuspendDays:"Days until idle",allowedScopes:"Allowed permission",requireAllowedAddresses:"Addresses required",onLeak:"On a leak",defaultRateLimit:"Default rate limit"}},audit:{title:"Audit trail",intro:"Every change, by whom, when and from where. It cannot be changed or deleted. An export has the events that match the filters.",type:"What happened",typeAny:"Everything",actor:"By",actorPlaceholder:"Part of a name",since:"From",until:"To",key:"Key",onlyThisKey:"Only this key",onlyKey:t=>`Only ${t}`,clear:"Clear filters",exportNdjson:"Export NDJSON",exportCsv:"Export CSV",exporting:t=>`Exporting, ${O(t)} so far…`,exported:t=>`Exported ${O(t)} ${ve(t,"event","events")}.`,none:"No event matches.",scanned:t=>`${O(t)} ${ve(t,"event","events")} searched`},policy:{title:"Policy",intro:"Rules for all keys. They bind what is created, changed and rotated from now on; keys that break a rule go on working, and are listed here.",lifetime:"Longest life of a key",lifetimeHint:"Each key must end within this many days; “never” is not allowed. Empty: no rule.",keys:"Most keys in use",keysHint:"Keys that are neither revoked nor expired. Empty: no rule.",idle:"A key is idle after",idleHint:"Idle keys are listed here. Empty: no rule.",scopes:"Highest permission",scopesAny:"No rule",addresses:"Each key must have allowed addresses",leak:"When a secret is reported as leaked",leakRevoke:"Revoke the key",leakSuspend:"Suspend the key",leakNotify:"Only record it",rate:"Rate limit of keys created without one",rateHint:"Keys that exist stay as they are. Empty: none.",days:"days",unitKeys:"keys",range:t=>`Enter a whole number, 1 to ${t}.`,requests:"requests",save:"Save policy",saving:"Saving…",saved:"The policy is saved and in force.",unchanged:"No changes",checking:"Checking which keys would break it…",wouldBreak:t=>`${O(t)} ${ve(t,"key would","keys would")} break these rules`,wouldBreakNone:"No key would break these rules",breaks:t=>`${O(t)} ${ve(t,"key breaks","keys break")} the saved policy`,breaksNone:"All keys follow the saved policy",breaksHint:"They go on working, but cannot be rotated or extended before they follow the rules.",first:t=>`The newest ${O(t)} are shown.`,columnRules:"Breaks",confirmTitle:"Save this policy?",confirmText:"These keys go on working, but cannot be rotated or extended before they follow the rules.",confirm:"Save all the same",readOnly:"Changing the policy needs the admin permission.",rules:{maxLifetimeDays:"life too long",maxActiveKeys:"too many keys",idleSuspendDays:"idle",allowedScopes:"too much permission",requireAllowedAddresses:"no addresses"}},shell:{product:"API keys",skip:"Skip to content",nav:"Sections",keys:"Keys",usage:"Usage",audit:"Audit trail",policy:"Policy",signedInAs:t=>`Signed in as ${t}`,signOut:"Sign out",signIn:"Sign in",signInTitle:"Sign in to manage API keys",signInText:"You sign in with your CRM account. You come back here afterwards.",pasteTitle:"Open the console with a token",pasteText:"No login is configured for this console, so it needs a token of one of your admins. It is kept in the memory of this page only, and is gone when you close or reload it.",pasteHow:"An operator makes one with",pasteLabel:"Token",pasteHint:"A JWT that begins with eyJ, or the secret of a key with the admin permission.",pasteSubmit:"Open console",pasteEmpty:"Paste a token.",pasteMalformed:"This does not look like a token: it has spaces or line breaks in it.",expiredTitle:"Your session has ended",expiredText:"What you entered is still here. Sign in again to go on.",expiredPaste:"What you entered is still here. Paste a new token to go on.",reader:"You can look at everything, but not change it: that needs the admin permission.",noToken:"This part of the page gets no token from the page around it: set its property getToken, or handle its event token-request."}};var D=class extends Error{constructor(e,r,i,n=null,a=[],d=null,u=null){super(i);this.status=e;this.code=r;this.requestId=n;this.errors=a;this.retryAfter=d;this.rule=u;this.name="ApiError"}get outcomeUnknown(){return["unreachable","no_response","timeout","database_unavailable","internal_error"].includes(this.code)||this.status>=500&&this.code==="unknown"}get isSignInNeeded(){return this.status===401}};function es(t,s,e){let r=typeof s=="object"&&s!==null?s:{},i=Number.parseInt(t.headers.get("Retry-After")??"",10);return new D(t.status,r.code??"unknown",r.detail??e,t.headers.get("X-Request-Id")??r.requestId??null,r.errors??[],Number.isFinite(i)?i:null,r.rule??null)}var St=1e3,ir=20,nr=6e4,Ue=class{constructor(s,e){this.baseUrl=s;this.getToken=e}me(){return this.#e("get","/api/v1/me",{})}list(s){return At(this.#t("get","/api/v1/api-keys",{query:s}))}async count(s){return(await this.list({...s,limit:1})).total}key(s){return ss(this.#t("get","/api/v1/api-keys/{id}",{id:s}))}create(s,e){return this.#e("post","/api/v1/api-keys",{body:s,headers:{"Idempotency-Key":e}})}update(s,e,r){return ss(this.#t("patch","/api/v1/api-keys/{id}",{id:s,body:e,headers:ts(r)}))}rotate(s,e,r,i){let n={...ts(r),"Idempotency-Key":i};return this.#e("post","/api/v1/api-keys/{id}/rotate",{id:s,body:{overlapSeconds:e},headers:n})}endPreviousSecret(s){return this.#e("delete","/api/v1/api-keys/{id}/previous-secret",{id:s})}suspend(s,e,r){return this.#e("post","/api/v1/api-keys/{id}/suspend",{id:s,body:{until:e,reason:r}})}resume(s,e){return this.#e("post","/api/v1/api-keys/{id}/resume",{id:s,body:{reason:e}})}async revoke(s,e){let r={id:s,query:e===""?{}:{reason:e},headers:{Prefer:`wait=${ir}`}},{headers:i}=await this.#t("delete","/api/v1/api-keys/{id}",r);return ar(i.get("Rally-Receipt"))}usage(s,e,r){return this.#e("get","/api/v1/api-keys/{id}/usage",{id:s,query:{from:e.toISOString(),interval:r}})}tenantUsage(s,e){return this.#e("get","/api/v1/api-keys/usage",{query:{from:s.toISOString(),interval:e}})}callers(s){return this.#e("get","/api/v1/api-keys/{id}/callers",{id:s})}keyEvents(s,e){return At(this.#t("get","/api/v1/api-keys/{id}/events",{id:s,query:e}))}events(s){return At(this.#t("get","/api/v1/api-keys/events",{query:s}))}policy(){return this.#e("get","/api/v1/api-keys/policy",{})}setPolicy(s,e){return this.#e("put","/api/v1/api-keys/policy",{query:{dryRun:e},body:s})}async#e(s,e,r){return(await this.#t(s,e,r)).value}async#t(s,e,r){let i=new URL(e.replace("{id}",encodeURIComponent(r.id??"")),this.baseUrl);for(let[y,v]of Object.entries(r.query??{}))i.searchParams.set(y,String(v));let n={...r.headers};r.body!==void 0&&(n["Content-Type"]="application/json");let a=r.body===void 0?null:JSON.stringify(r.body),d=await this.#r(i,{method:s.toUpperCase(),headers:n,body:a}),u=await d.text().catch(()=>{throw new D(0,"unreachable",l.errors.unreachable)}),b=or(u);if(!d.ok)throw es(d,b,l.errors.status(d.status));return{value:b,headers:d.headers}}async#r(s,e){let r=await this.#s(),i=await this.#n(s,e,r);if(i.status!==401)return i;let n=await this.#s();return n===r?i:this.#n(s,e,n)}async#s(){try{return await this.getToken()}catch{throw new D(401,"signed_out",l.errors.signedOut)}}async#n(s,e,r){let i={...e.headers,Authorization:`Bearer ${r}`},n=AbortSignal.timeout(nr);try{return await fetch(s,{...e,headers:i,signal:n,credentials:"omit",cache:"no-store",referrerPolicy:"no-referrer"})}catch{throw n.aborted?new D(0,"no_response",l.errors.noResponse):navigator.onLine?new D(0,"unreachable",l.errors.unreachable):new D(0,"offline",l.errors.offline)}}},ts=t=>t===null?{}:{"If-Match":t};function or(t){try{return JSON.parse(t)}catch{return null}}function ar(t){let s=r=>Number(t?.match(new RegExp(`(?:^|[ ,])${r}=([0-9.]+)`))?.[1]??NaN),e={instances:s("instances"),slowest:s("slowest-ms")};return Number.isNaN(e.instances+e.slowest)?null:e}async function ss(t){let{value:s,headers:e}=await t;return{value:s,etag:e.get("ETag")}}async function At(t){let{value:s,headers:e}=await t,r=e.get("X-Total-Count");return{items:s,next:lr(e.get("Link")),total:r===null?null:Number(r)}}function lr(t){let s=t?.match(/<([^>]*)>\s*;[^,]*rel="?next"?/)?.[1];return s===void 0?null:new URL(s,location.href).searchParams.get("cursor")}var S=class extends W{createRenderRoot(){return this}find(s){return this.renderRoot.querySelector(s)}emit(s,e,r=!1){this.dispatchEvent(new CustomEvent(s,{detail:e,bubbles:!0,composed:r}))}},dr=2500,U=class{constructor(s){this.host=s;this.error=null;this.busy=!1;this.slow=!1;this.#e=0;s.addController(this)}#e;hostConnected(){}hostDisconnected(){this.#e++,this.busy=!1}async run(s){let e=++this.#e;this.busy=!0,this.slow=!1,this.host.requestUpdate();let r=setTimeout(()=>{e===this.#e&&(this.slow=!0,this.host.requestUpdate())},dr);try{let i=await s();return e!==this.#e?!1:(this.value=i,this.error=null,!0)}catch(i){return e===this.#e&&(this.error=X(i)),!1}finally{clearTimeout(r),e===this.#e&&(this.busy=!1,this.slow=!1,this.host.requestUpdate())}}reset(){this.#e++,this.value=void 0,this.error=null,this.busy=!1,this.slow=!1,this.host.requestUpdate()}};function X(t){return t instanceof D?t:(console.error(t),new D(0,"page_error",t instanceof Error?t.message:l.errors.unreachable))}var $e=class{constructor(s){this.host=s;s.addController(this)}#e;hostConnected(){this.#e=setInterval(()=>this.host.requestUpdate(),3e4)}hostDisconnected(){clearInterval(this.#e)}},cr=0,E=()=>`rally-${++cr}`;function $(t,s){customElements.get(t)===void 0&&customElements.define(t,s)}var pr=1e3,xe=class{#e="";#t="";for(s){let e=JSON.stringify(s);return e!==this.#e&&(this.#e=e,this.#t=crypto.randomUUID()),this.#t}};async function Ze(t){try{return await t()}catch(s){if(!X(s).outcomeUnknown)throw s;return await new Promise(e=>setTimeout(e,pr)),t()}}var ur={close:"M4 4l8 8M12 4l-8 8",plus:"M8 3v10M3 8h10",search:"M7 11.5a4.5 4.5 0 1 0 0-9 4.5 4.5 0 0 0 0 9zM10.5 10.5L14 14",copy:"M5.5 5.5v-3h8v8h-3M2.5 5.5h8v8h-8z",check:"M3 8.5l3.5 3.5L13 4.5",back:"M10 3L5 8l5 5",forward:"M6 3l5 5-5 5",warning:"M8 2L1.5 13.5h13zM8 6.5v3.5M8 11.8v.2",info:"M8 14.5a6.5 6.5 0 1 0 0-13 6.5 6.5 0 0 0 0 13zM8 7.3v4M8 4.8v.2",offline:"M2 2l12 12M4.7 9.2A5 5 0 0 1 8 8m3.3 1.2a5 5 0 0 0-.8-.6M2.2 6.6A8.5 8.5 0 0 1 5 4.9M13.800 6.600A8.500 8.500 0 0 0 7.500 4.200M8 12.500v.200",key:"M10.500 9a3.800 3.800 0 1 0-3.600-2.600L2 11.300V14h2.700v-1.600h1.600v-1.600h1.600l.900-.900c.500.100 1.100.100 1.700.100zM11.300 4.700v.100",rotate:"M13.500 3v3.500H10M2.500 13V9.500H6M3.300 6.200a5 5 0 0 1 9-1.200l1.200 1.500M12.700 9.800a5 5 0 0 1-9 1.200L2.500 9.500",pause:"M5.500 3.500v9M10.500 3.500v9",play:"M5 3l8 5-8 5z",edit:"M3 13l.700-3L10.800 2.900l2.300 2.300L6 12.300z",trash:"M3 4.500h10M6.500 4.500v-2h3v2M4.500 4.500l.600 9h5.800l.600-9",download:"M8 2.500v8M4.500 7.500L8 11l3.500-3.500M3 13.500h10"},f=t=>o`<svg class="icon" viewBox="0 0 16 16" width="16" height="16" aria-hidden="true" focusable="false">
${he`<path d=${ur[t]} fill="none" stroke="currentColor" stroke-width="1.5" stroke-linecap="round" stroke-linejoin="round"/>`}
</svg>`;var _=class extends S{constructor(){super(...arguments);this.busy=!1;this.error=null;this.#e=E();this.#t=async e=>{if(e.target===this.dialog){if(!this.mayClose()){this.dialog?.showModal();return}this.dispatchEvent(new CustomEvent("closed"))}}}#e;get dialog(){return this.find("dialog")}firstUpdated(){this.dialog?.showModal(),setTimeout(()=>this.find("[data-focus]")?.focus())}close(){this.dialog?.close()}mayClose(){return!this.busy}frame(e,r,i,n={}){let{wide:a=!1,closable:d=!0}=n;return o`<dialog
class=${a?"dialog wide":"dialog"}
part="dialog"
aria-labelledby=${this.#e}
@cancel=${u=>{this.mayClose()||u.preventDefault()}}
@close=${this.#t}
>
<div class="dialog-head">
<h2 id=${this.#e} tabindex="-1" class="dialog-title">${e}</h2>
${d?o`<button type="button" class="icon-button" aria-label=${l.common.close} @click=${()=>this.mayClose()&&this.close()}>
${f("close")}
</button>`:c}
</div>
<div class="dialog-body">${r}</div>
${i===c?c:o`<div class="dialog-foot">${i}</div>`}
</dialog>`}async attempt(e){if(!this.busy){this.busy=!0,this.error=null;try{await e()}catch(r){this.error=X(r)}finally{this.busy=!1}await this.updateComplete,this.error!==null&&(this.find('[aria-invalid="true"]')??this.find(".problem"))?.focus()}}#t};p([h({attribute:!1})],_.prototype,"api",2),p([m()],_.prototype,"busy",2),p([m()],_.prototype,"error",2);var A=l.errors,hr={offline:A.offlineTitle,unreachable:A.unreachableTitle,no_response:A.unreachableTitle,key_not_found:A.notFoundTitle,tenant_not_found:A.tenantTitle,key_revoked:A.revokedTitle,key_expired:A.expiredTitle},mr={400:A.inputTitle,401:A.sessionTitle,403:A.forbiddenTitle,404:A.notFoundTitle,409:A.conflictTitle,412:A.conflictTitle,422:A.policyTitle,429:A.limitTitle,503:A.unavailableTitle},me=class extends S{constructor(){super(...arguments);this.error=null;this.retry=!1;this.auto=!1;this.remaining=0;this.#t=0;this.#n=()=>{this.auto&&this.error?.status===0&&this.#i()};this.#i=()=>{clearInterval(this.#e),this.remaining=0,this.dispatchEvent(new CustomEvent("retry"))}}#e;#t;connectedCallback(){super.connectedCallback(),addEventListener("online",this.#n)}disconnectedCallback(){super.disconnectedCallback(),removeEventListener("online",this.#n),clearInterval(this.#e)}willUpdate(e){e.has("error")&&this.#s()}render(){let{error:e}=this;if(e===null)return c;let r=hr[e.code]??mr[e.status]??A.otherTitle,i=e.status===0,n=i||e.status===429||e.status===503?"warn":"bad",a=i?"offline":"warning";return o`<div class="problem ${n}" role="alert" tabindex="-1" part="error" data-code=${e.code}>
${f(a)}
<div class="problem-text">
<p class="problem-title">${r}</p>
<p>${e.message}</p>
${e.errors.length>0?o`<ul class="problem-fields">
${e.errors.map(({field:d,message:u})=>o`<li><code>${d}</code> ${u}</li>`)}
</ul>`:c}
${this.auto&&e.code==="offline"?o`<p>${A.retriesOnline}</p>`:c}
${e.requestId===null?c:o`<p class="request-id">${l.common.requestId} <code>${e.requestId}</code></p>`}
${this.#r(e)}
</div>
</div>`}#r(e){if(e.isSignInNeeded)return o`<button type="button" class="button" @click=${()=>this.emit("sign-in-required",void 0,!0)}>${A.signIn}</button>`;if(!this.retry||[400,403,404,409,412,422].includes(e.status))return c;let r=this.remaining>0,i=r?this.auto?A.retriesIn(this.remaining):A.retryIn(this.remaining):l.common.retry;return o`<button type="button" class="button" ?disabled=${r&&!this.auto} @click=${this.#i}>${i}</button>`}#s(){clearInterval(this.#e);let e=this.error?.retryAfter??0;this.remaining=e===0||!this.auto?e:Math.max(e,Math.min(30,2**this.#t++)),this.remaining!==0&&(this.#e=setInterval(()=>{this.remaining-=1,!(this.remaining>0)&&(clearInterval(this.#e),this.auto&&this.#i())},1e3))}#n;#i};p([h({attribute:!1})],me.prototype,"error",2),p([h({type:Boolean})],me.prototype,"retry",2),p([h({type:Boolean})],me.prototype,"auto",2),p([m()],me.prototype,"remaining",2);$("rally-error-box",me);var k=(t,s,e=s!==void 0)=>t===null?c:o`<rally-error-box .error=${t} ?retry=${s!==void 0} ?auto=${e} @retry=${s}></rally-error-box>`;var H=navigator.languages.find(t=>t.split("-")[0]===l.language)??l.language,fr=new Intl.DateTimeFormat(H,{dateStyle:"medium"}),yr=new Intl.DateTimeFormat(H,{dateStyle:"medium",timeStyle:"short"}),gr=new Intl.DateTimeFormat(H,{dateStyle:"full",timeStyle:"long"}),br=new Intl.DateTimeFormat(H,{weekday:"short",day:"numeric",month:"short",hour:"numeric",minute:"2-digit"}),vr=new Intl.DateTimeFormat(H,{weekday:"short",day:"numeric",month:"short",timeZone:"UTC"}),$r=new Intl.DateTimeFormat(H,{day:"numeric",month:"short",timeZone:"UTC"}),xr=new Intl.DateTimeFormat(H,{hour:"numeric",minute:"2-digit"}),kr=new Intl.NumberFormat(H),wr=new Intl.NumberFormat(H,{notation:"compact",maximumFractionDigits:1}),rs=new Intl.RelativeTimeFormat(H,{numeric:"auto"}),pn=new Intl.ListFormat(H,{type:"conjunction"}),x=864e5,Ar=[["day",x,1.5*x],["hour",36e5,33e5]],Et=t=>fr.format(new Date(t)),M=t=>yr.format(new Date(t)),ie=t=>gr.format(new Date(t)),Tt=t=>br.format(new Date(t)),is=t=>vr.format(new Date(t)),ns=t=>$r.format(new Date(t)),os=t=>xr.format(new Date(t)),g=t=>kr.format(t),et=t=>wr.format(t);function Z(t,s=Date.now()){let e=new Date(t).getTime()-s,r=Math.abs(e);if(r<45e3)return e<=0?l.time.justNow:l.time.inAMoment;for(let[i,n,a]of Ar)if(r>=a)return rs.format(Math.round(e/n),i);return rs.format(Math.round(e/6e4),"minute")}function N(t,s=c){if(t===null)return s;let e=Math.abs(new Date(t).getTime()-Date.now())<30*x;return o`<time datetime=${t} title=${ie(t)}>${e?Z(t):Et(t)}</time>`}function ke(t){return o`<time datetime=${t} title=${ie(t)}>${M(t)}</time>`}function as(t){let[s,e]=[["day",86400],["hour",3600],["minute",60],["second",1]].find(([,r])=>t%r===0)??["second",1];return new Intl.NumberFormat(H,{style:"unit",unit:s,unitDisplay:"long"}).format(t/e)}function Y(t){return new Date(t.getTime()-t.getTimezoneOffset()*6e4).toISOString().slice(0,16)}function C(t){let s=t.split(",").map(e=>e.trim());return s.includes("admin")?"admin":s.includes("write")?"write":"read"}var _t={read:"read",write:"read,write",admin:"read,write,admin"},ne=["read","write","admin"],ls=t=>{let s=C(t);return o`<span class="scope ${s}" title=${t}>${l.scopes[s]}</span>`};function tt(t){let s=t.status==="suspended"&&t.suspendedUntil?l.status.suspendedUntil(ie(t.suspendedUntil)):"";return o`<span class="badge ${t.status}" part="status" title=${s}>${l.status[t.status]}</span>`}function st(t,s=Date.now()){if(t.status==="revoked"||t.status==="expired")return[];let e=[];return t.rotation!==null&&e.push("oldSecret"),t.expiresAt!==null&&Date.parse(t.expiresAt)-s<30*x&&e.push("expiring"),s-Date.parse(t.lastUsedAt??t.createdAt)>90*x&&e.push("idle"),t.lastUsedAt===null&&e.push("neverUsed"),e}function ds(t,s){let e=l.list;if(t==="oldSecret"){let i=s.rotation?.previousLastUsedAt??null,n=i!==null&&Date.now()-Date.parse(i)<x,a=i===null?l.rotation.unused:l.rotation.used(Z(i));return o`<span class="mark" title=${a}>${n?e.markOldSecretUsed:e.markOldSecret}</span>`}let r={neverUsed:e.markNeverUsed,idle:e.markIdle,expiring:e.markExpiring}[t];return o`<span class=${t==="neverUsed"?"mark quiet":"mark"}>${r}</span>`}var cs={1:l.form.second,60:l.form.minute,3600:l.form.hour,86400:l.form.day},ps=Object.keys(cs).map(Number),rt=t=>cs[t]??as(t),we=t=>t===null?l.key.noLimit:l.key.rate(g(t.requests),rt(t.windowSeconds)),fe=t=>t===null?l.key.noLimit:t.per==="day"?l.key.quotaPerDay(g(t.requests)):l.key.quotaPerMonth(g(t.requests));function ee(t,s=()=>{}){if(t===null)return l.events.somebody;if(t.startsWith("operator:"))return l.events.operator(t.slice(9));if(t.startsWith("api-key:")){let e=s(t.slice(8));return e===void 0?t:l.events.key(e)}return t}var Ne=t=>({name:"",description:"",preset:t?.maxLifetimeDays!=null&&t.maxLifetimeDays<90?t.maxLifetimeDays<30?"custom":"30":"90",customAt:t?.maxLifetimeDays!=null?Y(new Date(Date.now()+t.maxLifetimeDays*x-6e5)):"",level:"read",addresses:"",rateRequests:"",rateWindow:60,quotaRequests:"",quotaPer:"day"}),Pt=t=>({name:t.name,description:t.description??"",preset:t.expiresAt===null?"never":"keep",customAt:t.expiresAt===null?"":Y(new Date(t.expiresAt)),level:C(t.scopes),addresses:t.allowedAddresses.join(`
`),rateRequests:t.rateLimit===null?"":String(t.rateLimit.requests),rateWindow:t.rateLimit?.windowSeconds??60,quotaRequests:t.quota===null?"":String(t.quota.requests),quotaPer:t.quota?.per??"day"});function Ie(t,s){if(t.preset==="never")return"never";if(t.preset==="custom"||t.preset==="keep"){let e=new Date(t.customAt);return Number.isNaN(e.getTime())?null:e}return new Date(s+Number(t.preset)*x)}function at(t,s){let e={};if(t.name.trim()===""&&(e.name=[l.form.nameRequired]),t.preset==="custom"){let r=Ie(t,s);(r===null||r!=="never"&&r.getTime()<=Date.now())&&(e.expiresAt=[l.form.customRequired])}return us(t.rateRequests)||(e.rateLimit=[l.form.numberRequired]),us(t.quotaRequests)||(e.quota=[l.form.numberRequired]),e}var us=t=>t.trim()===""||/^[1-9]\d{0,12}$/.test(t.trim()),Sr={maxLifetimeDays:"expiresAt",allowedScopes:"scopes",requireAllowedAddresses:"allowedAddresses"};function lt(t,s){let e={},r=(n,a)=>{(e[n]??=[]).push(a)};if(t.rule!==null){let n=Sr[t.rule];return n===void 0?null:(r(n,t.message),e)}let i=ot(s.addresses);for(let{field:n,message:a}of t.errors){let[,d="",u]=/^(\w+)(?:\[(\d+)\])?/.exec(n)??[];if(!["name","description","expiresAt","scopes","allowedAddresses","rateLimit","quota"].includes(d))return null;let b=Number(u),y=u===void 0?"":`${l.form.addressLine(b+1,i[b]??"")}: `;r(d,y===""?Er(a):y+a)}return t.errors.length>0?e:null}var Er=t=>`${t.charAt(0).toUpperCase()}${t.slice(1)}.`,ot=t=>t.split(/[\n,]/).map(s=>s.trim()).filter(s=>s!==""),it=t=>t.rateRequests.trim()===""?null:{requests:Number(t.rateRequests),windowSeconds:t.rateWindow},nt=t=>t.quotaRequests.trim()===""?null:{requests:Number(t.quotaRequests),per:t.quotaPer};function hs(t,s){let e=Ie(t,s),r={name:t.name.trim(),scopes:_t[t.level],expiresAt:e==="never"||e===null?null:fs(e)};t.description.trim()!==""&&(r.description=t.description);let i=ot(t.addresses);i.length>0&&(r.allowedAddresses=i);let n=it(t);n!==null&&(r.rateLimit=n);let a=nt(t);return a!==null&&(r.quota=a),r}function ms(t,s,e){let r=Pt(s),i={};if(t.name.trim()!==s.name&&(i.name=t.name.trim()),t.description.trim()!==r.description&&(i.description=t.description.trim()===""?null:t.description),t.level!==r.level&&(i.scopes=_t[t.level]),!(t.preset==="keep"||t.preset==="never"&&s.expiresAt===null)){let a=Ie(t,e);i.expiresAt=a==="never"||a===null?null:fs(a)}return ot(t.addresses).join()!==s.allowedAddresses.join()&&(i.allowedAddresses=ot(t.addresses)),JSON.stringify(it(t))!==JSON.stringify(it(r))&&(i.rateLimit=it(t)),JSON.stringify(nt(t))!==JSON.stringify(nt(r))&&(i.quota=nt(t)),i}var fs=t=>t.toISOString().replace(/\.\d+Z$/,"Z");function ys(t,s,e){let r=ne.indexOf(t);return r>ne.indexOf(C(e))?l.scopes.notGranted:s?.allowedScopes!=null&&r>ne.indexOf(C(s.allowedScopes))?l.scopes.notAllowed:null}function gs(t,s){let e=s?.maxLifetimeDays??null;return e===null||t==="custom"||t==="keep"?!0:t!=="never"&&Number(t)<=e}var z=class extends S{constructor(){super(...arguments);this.initial=Ne(null);this.draft=this.initial;this.errors={};this.policy=null;this.granted="admin";this.currentEnd=null;this.isNew=!1;this.now=Date.now();this.limitsOpen=!1;this.#e=E()}#e;willUpdate(e){e.has("initial")&&(this.draft=this.initial);let{draft:r,errors:i,policy:n}=this,a=r.addresses!==""||r.rateRequests!==""||r.quotaRequests!=="",d=i.allowedAddresses!==void 0||i.rateLimit!==void 0||i.quota!==void 0;(e.has("initial")&&a||e.has("errors")&&d)&&(this.limitsOpen=!0),e.has("policy")&&n?.requireAllowedAddresses===!0&&(this.limitsOpen=!0)}#t(e){this.draft={...this.draft,...e}}render(){let e=l.form,{draft:r}=this;return o`
${this.#r()}
${this.#s("name",e.name,e.nameHint,(i,n,a)=>o`<input
id=${i}
data-focus
type="text"
required
maxlength="100"
autocomplete="off"
aria-describedby=${n}
aria-invalid=${a}
.value=${r.name}
@input=${d=>this.#t({name:oe(d)})}
/>`)}
${this.#s("description",e.description,e.descriptionHint,(i,n,a)=>o`<textarea
id=${i}
rows="2"
maxlength="500"
aria-describedby=${n}
aria-invalid=${a}
.value=${r.description}
@input=${d=>this.#t({description:oe(d)})}
></textarea>`,!0)}
${this.#i()} ${this.#a()} ${this.#l()}
`}#r(){let e=l.form,{policy:r}=this;if(r===null)return c;let i=[r.maxLifetimeDays==null?"":e.policyLifetime(r.maxLifetimeDays),r.requireAllowedAddresses===!0?e.policyAddresses:"",r.maxActiveKeys==null||!this.isNew?"":e.policyKeys(r.activeKeys,r.maxActiveKeys),r.defaultRateLimit==null||!this.isNew?"":e.policyRate(g(r.defaultRateLimit.requests),rt(r.defaultRateLimit.windowSeconds))].filter(n=>n!=="");return i.length===0?c:o`<p class="note">${f("info")}<span><b>${e.policy}:</b> ${i.join("; ")}.</span></p>`}#s(e,r,i,n,a=!1){let d=`${this.#e}-${e}`,u=this.errors[e]===void 0?"false":"true";return o`<div class="field">
<label for=${d}>${r} ${a?o`<span class="optional">${l.common.optional}</span>`:c}</label>
${n(d,`${d}-hint ${d}-error`,u)}
<p class="hint-text" id="${d}-hint">${i}</p>
${this.#n(e)}
</div>`}#n(e){let r=this.errors[e]??[];return o`<div id="${this.#e}-${e}-error">
${r.map(i=>o`<p class="field-error">${f("warning")}<span>${i}</span></p>`)}
</div>`}#i(){let e=l.scopes,r={read:e.readHint,write:e.writeHint,admin:e.adminHint};return o`<fieldset class="field" aria-describedby="${this.#e}-scopes-error">
<legend>${e.legend}</legend>
<div class="choices">
${ne.map(i=>{let n=ys(i,this.policy,this.granted),a=this.draft.level===i;return o`<label class=${n!==null&&!a?"choice off":"choice"}>
<input
type="radio"
name="${this.#e}-scope"
value=${i}
.checked=${a}
?disabled=${n!==null&&!a}
aria-invalid=${this.errors.scopes!==void 0&&a?"true":"false"}
@change=${()=>this.#t({level:i})}
/>
<span><b>${e[i]}</b><span class="choice-hint">${n!==null&&!a?n:r[i]}</span></span>
</label>`})}
</div>
${this.#n("scopes")}
</fieldset>`}#a(){let e=l.form,{draft:r}=this,i=[...this.isNew||this.currentEnd===null?[]:[["keep",e.keep]],["30",e.days30],["90",e.days90],["365",e.days365],["custom",e.custom],["never",e.never]];return o`<fieldset class="field" aria-describedby="${this.#e}-expiry-note ${this.#e}-expiresAt-error">
<legend>${e.expiry}</legend>
<div class="segments">
${i.map(([n,a])=>{let d=r.preset===n,u=gs(n,this.policy)||d;return o`<label class=${u?"segment":"segment off"} title=${u?"":e.policyLonger}>
<input
type="radio"
name="${this.#e}-expiry"
value=${n}
.checked=${d}
?disabled=${!u}
@change=${()=>this.#t({preset:n,customAt:r.customAt||Y(new Date(this.now+90*x))})}
/>
<span>${a}</span>
</label>`})}
</div>
${r.preset==="custom"?this.#o():c}
<p id="${this.#e}-expiry-note" class=${r.preset==="never"?"note warn":"hint-text"} aria-live="polite">${this.#u()}</p>
${this.#n("expiresAt")}
</fieldset>`}#o(){let e=this.policy?.maxLifetimeDays??null,r=`${this.#e}-custom`;return o`<div class="inline-field">
<label for=${r}>${l.form.customAt}</label>
<input
id=${r}
type="datetime-local"
required
min=${Y(new Date)}
max=${e===null?c:Y(new Date(this.now+e*x))}
aria-describedby="${this.#e}-expiresAt-error"
aria-invalid=${this.errors.expiresAt===void 0?"false":"true"}
.value=${this.draft.customAt}
@input=${i=>this.#t({customAt:oe(i)})}
/>
</div>`}#u(){let{draft:e}=this;if(e.preset==="never")return o`${f("warning")}<span>${l.form.neverWarning}</span>`;let r=e.preset==="keep"&&this.currentEnd!==null?new Date(this.currentEnd):Ie(e,this.now);return r===null||r==="never"?c:o`<span title=${ie(r)}>${l.form.endsAt(M(r))}</span>`}#l(){let e=l.form,{draft:r}=this;return o`<details class="more" .open=${this.limitsOpen} @toggle=${i=>this.limitsOpen=i.target.open}>
<summary><b>${e.limits}</b> <span class="muted">${e.limitsHint}</span></summary>
${this.#s("allowedAddresses",e.addresses,e.addressesHint,(i,n,a)=>o`<textarea
id=${i}
rows="3"
class="code"
spellcheck="false"
autocomplete="off"
aria-describedby=${n}
aria-invalid=${a}
.value=${r.addresses}
@input=${d=>this.#t({addresses:oe(d)})}
></textarea>`,this.policy?.requireAllowedAddresses!==!0)}
${this.#s("rateLimit",e.rate,e.rateHint,(i,n,a)=>o`<div class="pair">
<input id=${i} type="text" inputmode="numeric" class="number" autocomplete="off" placeholder=${e.rateRequests} aria-describedby=${n} aria-invalid=${a} .value=${r.rateRequests} @input=${d=>this.#t({rateRequests:oe(d)})} />
<label for="${i}-window">${e.rateWindow}</label>
<select id="${i}-window" @change=${d=>this.#t({rateWindow:Number(oe(d))})}>
${[...new Set([...ps,r.rateWindow])].map(d=>o`<option value=${d} ?selected=${d===r.rateWindow}>${rt(d)}</option>`)}
</select>
</div>`,!0)}
${this.#s("quota",e.quota,e.quotaHint,(i,n,a)=>o`<div class="pair">
<input id=${i} type="text" inputmode="numeric" class="number" autocomplete="off" placeholder=${e.rateRequests} aria-describedby=${n} aria-invalid=${a} .value=${r.quotaRequests} @input=${d=>this.#t({quotaRequests:oe(d)})} />
<label for="${i}-per">${e.quotaPer}</label>
<select id="${i}-per" @change=${d=>this.#t({quotaPer:oe(d)})}>
${["day","month"].map(d=>o`<option value=${d} ?selected=${d===r.quotaPer}>${e[d]}</option>`)}
</select>
</div>`,!0)}
</details>`}};p([h({attribute:!1})],z.prototype,"initial",2),p([m()],z.prototype,"draft",2),p([h({attribute:!1})],z.prototype,"errors",2),p([h({attribute:!1})],z.prototype,"policy",2),p([h()],z.prototype,"granted",2),p([h({attribute:!1})],z.prototype,"currentEnd",2),p([h({type:Boolean})],z.prototype,"isNew",2),p([h({type:Number})],z.prototype,"now",2),p([m()],z.prototype,"limitsOpen",2);$("rally-key-form",z);var oe=t=>t.target.value;var ae=class extends S{constructor(){super(...arguments);this.text="";this.label=l.common.copy;this.primary=!1;this.compact=!1;this.outcome="none";this.#e=async()=>{try{await navigator.clipboard.writeText(this.text),this.outcome="copied",this.dispatchEvent(new CustomEvent("copied",{bubbles:!0}))}catch{this.outcome="failed"}setTimeout(()=>this.outcome="none",3e3)}}render(){let e={none:"",copied:l.common.copied,failed:l.common.copyFailed}[this.outcome],r=this.compact?"icon-button":this.primary?"button primary":"button";return o`<button type="button" class=${r} aria-label=${this.compact?this.label:c} @click=${this.#e}>
${f(this.outcome==="copied"?"check":"copy")} ${this.compact?"":e||this.label}
</button>
<span class="visually-hidden" role="status">${e}</span>`}#e};p([h({attribute:!1})],ae.prototype,"text",2),p([h()],ae.prototype,"label",2),p([h({type:Boolean})],ae.prototype,"primary",2),p([h({type:Boolean})],ae.prototype,"compact",2),p([m()],ae.prototype,"outcome",2);$("rally-copy-button",ae);var Oe=["shell","python","node"],ye=class extends S{constructor(){super(...arguments);this.baseUrl="";this.nudge=!1;this.language="shell";this.#e=E();this.#t=e=>{let r={ArrowRight:1,ArrowLeft:-1}[e.key];if(r===void 0)return;let i=Oe[(Oe.indexOf(this.language)+r+Oe.length)%Oe.length];i!==void 0&&(this.language=i,this.find(`#${this.#e}-${i}`)?.focus())}}#e;connectedCallback(){super.connectedCallback(),addEventListener("beforeunload",bs)}disconnectedCallback(){super.disconnectedCallback(),removeEventListener("beforeunload",bs)}render(){let e=l.secret,{created:r}=this,i=Tr(this.baseUrl)[this.language];return o`
<p>${e.lead(r.name)}</p>
<div class="secret" part="secret">
<label class="visually-hidden" for="${this.#e}-secret">${e.label}</label>
<input
id="${this.#e}-secret"
class="code"
type="text"
readonly
autocomplete="off"
spellcheck="false"
data-secret
.value=${r.key}
@focus=${n=>n.target.select()}
/>
<rally-copy-button primary .text=${r.key} label=${e.copy}></rally-copy-button>
</div>
<section aria-labelledby="${this.#e}-try">
<h3 id="${this.#e}-try" class="section-title">${e.snippets}</h3>
<p class="hint-text">
${e.snippetHint}
${r.allowedAddresses.length===0?c:e.snippetAddresses}
</p>
<div class="tabs" role="tablist" aria-labelledby="${this.#e}-try" @keydown=${this.#t}>
${Oe.map(n=>o`<button
type="button"
role="tab"
id="${this.#e}-${n}"
class="tab"
aria-selected=${this.language===n?"true":"false"}
aria-controls="${this.#e}-snippet"
tabindex=${this.language===n?"0":"-1"}
@click=${()=>this.language=n}
>
${e[n]}
</button>`)}
</div>
<div class="snippet" role="tabpanel" id="${this.#e}-snippet" aria-labelledby="${this.#e}-${this.language}">
<pre tabindex="0"><code>${i}</code></pre>
<rally-copy-button compact .text=${i} label="${l.common.copy}: ${e[this.language]}"></rally-copy-button>
</div>
</section>
${this.nudge?o`<p class="note warn" role="alert">${f("warning")}<span>${e.notStored}</span></p>`:c}
`}#t};p([h({attribute:!1})],ye.prototype,"created",2),p([h()],ye.prototype,"baseUrl",2),p([h({type:Boolean})],ye.prototype,"nudge",2),p([m()],ye.prototype,"language",2);$("rally-secret-panel",ye);var bs=t=>t.preventDefault();function Tr(t){let s=`${t}/api/v1/api-keys/self`;return{shell:`curl ${s} \\
  -H "X-Api-Key: $RALLY_API_KEY"`,python:`import os, requests

response = requests.get(
    "${s}",
    headers={"X-Api-Key": os.environ["RALLY_API_KEY"]},
    timeout=30,
)
response.raise_for_status()
print(response.json()["name"])`,node:`const response = await fetch("${s}", {
  headers: { "X-Api-Key": process.env.RALLY_API_KEY },
});
if (!response.ok) throw new Error(await response.text());
console.log((await response.json()).name);`}}var te=class extends _{constructor(){super(...arguments);this.granted="admin";this.policy=null;this.errors={};this.created=null;this.stored=!1;this.nudge=!1;this.#e=Ne(null);this.#t=Date.now();this.#r=new xe;this.#i=async e=>{e?.preventDefault();let r=this.form?.draft;if(r!==void 0){if(this.errors=at(r,this.#t),Object.keys(this.errors).length>0){await this.#o();return}await this.attempt(()=>this.#a(r)),await this.#o()}}}#e;#t;#r;connectedCallback(){super.connectedCallback(),this.#s()}async#s(){try{this.policy=await this.api.policy()}catch{return}JSON.stringify(this.form?.draft)===JSON.stringify(this.#e)&&(this.#e=Ne(this.policy))}get form(){return this.find("rally-key-form")}mayClose(){return this.created===null?super.mayClose():(this.stored||(this.nudge=!0),this.stored)}render(){if(this.created!==null)return this.#n(this.created);let e=l.form;return this.frame(e.createTitle,o`<form id="create-form" novalidate @submit=${this.#i}>
${this.error===null||Object.keys(this.errors).length>0?c:k(this.error,this.#i,!1)}
<rally-key-form isNew .initial=${this.#e} .errors=${this.errors} .policy=${this.policy} granted=${this.granted} .now=${this.#t}></rally-key-form>
</form>`,o`<button type="button" class="button" ?disabled=${this.busy} @click=${()=>this.close()}>${l.common.cancel}</button>
<button type="submit" form="create-form" class="button primary" ?disabled=${this.busy}>
${this.busy?e.creating:e.create}
</button>`,{wide:!0})}#n(e){let r=l.secret;return this.frame(r.createdTitle,o`<rally-secret-panel .created=${e} baseUrl=${this.api.baseUrl} ?nudge=${this.nudge&&!this.stored}></rally-secret-panel>`,o`<label class="confirm">
<input type="checkbox" .checked=${this.stored} @change=${i=>this.stored=i.target.checked} />
<span>${r.stored}</span>
</label>
<button type="button" class="button primary" ?disabled=${!this.stored} @click=${()=>this.close()}>${r.done}</button>`,{wide:!0,closable:!1})}#i;async#a(e){let r=hs(e,this.#t);try{this.created=await Ze(()=>this.api.create(r,this.#r.for(r)))}catch(i){let n=X(i);throw this.errors=lt(n,e)??{},n}this.emit("key-created",this.created.id),await this.updateComplete,this.find("[data-secret]")?.focus()}async#o(){await this.updateComplete,await this.form?.updateComplete,this.find('[aria-invalid="true"]')?.focus()}};p([h()],te.prototype,"granted",2),p([m()],te.prototype,"policy",2),p([m()],te.prototype,"errors",2),p([m()],te.prototype,"created",2),p([m()],te.prototype,"stored",2),p([m()],te.prototype,"nudge",2);$("rally-create-dialog",te);var dt=120,De=28;function vs(t){let s=t.reduce((a,d)=>a+d,0),e=l.list.usage(g(s)),r=Math.max(1,...t),i=dt/t.length,n=t.map((a,d)=>{if(a===0)return"";let u=Math.max(2,Math.round(a/r*De));return`M${(d*i).toFixed(1)} ${De-u}h${(i-1).toFixed(1)}v${u}h-${(i-1).toFixed(1)}z`});return o`<span class="spark" title=${e}>
<svg class="spark-chart" role="img" aria-label=${e} viewBox="0 0 ${dt} ${De}" width=${dt} height=${De}>
${he`<path class="spark-base" d="M0 ${De-.5}H${dt}"/><path class="spark-bars" d=${n.join("")}/>`}
</svg>
<span class="spark-total" aria-hidden="true">${et(s)}</span>
</span>`}var He=720,Ae=160,Rt=["expired","scope","revoked","suspended","address","rateLimit","quota"],Se=class extends S{constructor(){super(...arguments);this.buckets=[];this.interval="day";this.selected=null;this.#i=e=>{let r=e.currentTarget.getBoundingClientRect(),i=Math.floor((e.clientX-r.left)/r.width*this.buckets.length);this.selected=Math.max(0,Math.min(this.buckets.length-1,i))};this.#a=e=>{let r=this.buckets.length-1,i=this.selected??r+1,a={ArrowLeft:Math.max(0,i-1),ArrowRight:Math.min(r,i+1),Home:0,End:r,Escape:null}[e.key];a===void 0||e.key==="Escape"&&this.selected===null||(e.preventDefault(),this.selected=a)}}willUpdate(e){e.has("buckets")&&(this.selected=null)}render(){let{buckets:e}=this,r=Ct(e.map(d=>d.requests)),i=Ct(e.map(d=>d.denied)),n=Rt.filter(d=>e.some(u=>u.deniedByReason[d]>0)),a=_r(Math.max(1,...e.map(d=>d.requests)));return o`
<div class="chart-numbers">
<span><span class="big">${g(r-i)}</span> ${l.usage.accepted.toLowerCase()}</span>
<span class=${i>0?"refused":"muted"}><span class="big">${g(i)}</span> ${l.usage.refused("").trim()}</span>
</div>
<div class="chart-frame">
<div class="chart-scale" aria-hidden="true"><span>${et(a)}</span><span>${a%2===0?et(a/2):""}</span><span>0</span></div>
<svg
class="chart"
part="chart"
role="img"
tabindex="0"
aria-label="${l.usage.chart}: ${l.usage.total(g(r))}, ${l.usage.refused(g(i))}. ${l.usage.readout}"
viewBox="0 0 ${He} ${Ae}"
preserveAspectRatio="none"
@keydown=${this.#a}
@pointermove=${this.#i}
@pointerleave=${()=>this.selected=null}
>
${he`<path class="chart-grid" d="M0 .5H${He}M0 ${Ae/2}H${He}M0 ${Ae-.5}H${He}"/>`}
${e.map((d,u)=>this.#e(d,u,a))}
</svg>
<div class="chart-axis" aria-hidden="true">${this.#t()}</div>
</div>
<p class="chart-readout" aria-live="polite">${this.#s(r)}</p>
<ul class="legend">
<li><span class="swatch accepted"></span>${l.usage.accepted}</li>
${n.map(d=>{let u=Ct(e.map(b=>b.deniedByReason[d]));return o`<li><span class="swatch ${d}"></span>${l.usage.reasons[d]} <b>${g(u)}</b></li>`})}
</ul>
${r===0?c:this.#n(n)}
`}#e(e,r,i){let n=He/this.buckets.length,a=Math.min(2,n*.2),d=r*n+a/2,u=n-a,b=Ae,y=(v,R)=>{if(R===0)return c;let q=Math.max(1.5,R/i*(Ae-1));return b-=q,he`<rect class="bar ${v}" x=${d} y=${b} width=${u} height=${q} />`};return he`<g class=${r===this.selected?"bucket selected":"bucket"}>
<rect class="bucket-back" x=${r*n} y="0" width=${n} height=${Ae} />
${y("accepted",e.requests-e.denied)}
${Rt.map(v=>y(v,e.deniedByReason[v]))}
</g>`}#t(){let{buckets:e}=this;return[0,Math.floor((e.length-1)/2),e.length-1].filter((i,n,a)=>a.indexOf(i)===n).map(i=>{let n=e[i];if(n===void 0)return c;let a=this.interval==="hour"&&e.length<=25;return o`<span>${a?os(n.start):this.interval==="hour"?Tt(n.start):ns(n.start)}</span>`})}#r(e){return this.interval==="hour"?Tt(e.start):is(e.start)}#s(e){if(e===0)return l.usage.nothing;let r=this.selected===null?void 0:this.buckets[this.selected];if(r===void 0)return l.usage.readout;let i=Rt.filter(a=>r.deniedByReason[a]>0).map(a=>`${l.usage.reasons[a]} ${g(r.deniedByReason[a])}`).join(", "),n=r.denied>0?`, ${l.usage.refused(g(r.denied))} (${i})`:"";return o`<b>${this.#r(r)}</b>: ${l.usage.total(g(r.requests))}${n}`}#n(e){let r=this.buckets.filter(i=>i.requests>0).reverse();return o`<details class="chart-table">
<summary>${l.usage.table}</summary>
<div class="scroll" tabindex="0" role="group" aria-label=${l.usage.chart}>
<table class="plain">
<thead>
<tr>
<th scope="col">${l.usage.columnStart}</th>
<th scope="col" class="number">${l.usage.columnRequests}</th>
<th scope="col" class="number">${l.usage.columnRefused}</th>
${e.map(i=>o`<th scope="col" class="number">${l.usage.reasons[i]}</th>`)}
</tr>
</thead>
<tbody>
${r.map(i=>o`<tr>
<th scope="row">${this.#r(i)}</th>
<td class="number">${g(i.requests)}</td>
<td class="number">${g(i.denied)}</td>
${e.map(n=>o`<td class="number">${g(i.deniedByReason[n])}</td>`)}
</tr>`)}
</tbody>
</table>
</div>
</details>`}#i;#a};p([h({attribute:!1})],Se.prototype,"buckets",2),p([h()],Se.prototype,"interval",2),p([m()],Se.prototype,"selected",2);$("rally-usage-chart",Se);var Ct=t=>t.reduce((s,e)=>s+e,0);function _r(t){let s=10**Math.floor(Math.log10(t));return([1,2,3,4,5,6,8,10].find(e=>e*s>=t)??10)*s}var ze={status:null,mark:null,search:"",scope:null,createdBy:null,sort:"-createdAt"},ct=({mark:t,sort:s})=>t==="neverUsed"?"lastUsedAt":t==="oldSecret"?"-createdAt":s,xs=t=>t.status!==null||t.mark!==null||t.search!==""||t.scope!==null||t.createdBy!==null,Pr=7*x,$s=100,ks="active,suspended";async function ws(t,s,e,r){if(s.mark==="oldSecret"){let u=(await As(t)).filter(b=>Rr(b,s));return{items:u,next:null,total:u.length}}let i={...qt(s),sort:ct(s),limit:e,include:"usage"};if(r!==null&&(i.cursor=r),s.mark!=="neverUsed")return t.list(i);let n=await t.list(i),a=n.items.filter(u=>u.lastUsedAt===null),d=a.length<n.items.length;return{items:a,next:d?null:n.next,total:d&&r===null?a.length:null}}function qt(t){let s={};return t.status!==null&&(s.status=t.status),t.search!==""&&(s.search=t.search),t.scope!==null&&(s.scope=t.scope),t.createdBy!==null&&(s.createdBy=t.createdBy),t.mark!==null&&(s.status=ks),t.mark==="idle"&&(s.unusedForDays=90),t.mark==="expiring"&&(s.expiresBefore=new Date(Date.now()+30*x).toISOString()),s}function Rr(t,{search:s,scope:e,createdBy:r}){let i=`${t.name}
${t.description??""}
${t.keyHint.slice(-4)}`.toLowerCase(),n=["read","write","admin"];return i.includes(s.toLowerCase())&&(e===null||n.indexOf(C(t.scopes))>=n.indexOf(e))&&(r===null||t.createdBy===r)}async function As(t){let s=Date.now()-Pr,e=new Set,r;for(;;){let n=await t.events({type:"rotated",limit:200,...r===void 0?{}:{cursor:r}});for(let d of n.items)Date.parse(d.occurredAt)>=s&&d.keyId!==null&&e.add(d.keyId);let a=n.items.at(-1);if(n.next===null||a===void 0||Date.parse(a.occurredAt)<s)break;r=n.next}return(await Promise.all([...e].map(async n=>(await t.key(n)).value))).filter(n=>st(n).includes("oldSecret")).sort((n,a)=>Date.parse(a.createdAt)-Date.parse(n.createdAt))}async function Ss(t,s){let e={statuses:{},marks:{}},r=async n=>{try{await n(),s({statuses:{...e.statuses},marks:{...e.marks}})}catch{}},i=["active","suspended","expired","revoked"].map(n=>r(async()=>{e.statuses[n]=await t.count({status:n})}));await Promise.all([r(async()=>{e.statuses.all=await t.count({})}),...i,r(async()=>{e.marks.idle={count:await t.count(qt({...ze,mark:"idle"}))}}),r(async()=>{e.marks.expiring={count:await t.count(qt({...ze,mark:"expiring"}))}}),r(async()=>{let{items:n}=await t.list({status:ks,sort:"lastUsedAt",limit:$s}),a=n.filter(d=>d.lastUsedAt===null).length;e.marks.neverUsed={count:a,atLeast:a===$s}}),r(async()=>{e.marks.oldSecret={count:(await As(t)).length}})])}var Cr=["active","suspended","expired","revoked"],qr=["oldSecret","expiring","idle","neverUsed"],Mr=250,B=class extends S{constructor(){super();this.me=null;this.mayCreate=!1;this.pageSize=50;this.keyUrl="";this.filters=ze;this.counts={statuses:{},marks:{}};this.cursors=[null];this.page=new U(this);this.#e=E();this.#t=E();this.#r=E();this.#s=E();this.#n=!1;this.#f=e=>{let r=e.target.value.trim();clearTimeout(this.#i),this.#i=setTimeout(()=>{r!==this.filters.search&&this.#o({search:r})},Mr)};new $e(this)}#e;#t;#r;#s;#n;#i;willUpdate(e){e.has("api")&&this.reload()}async reload(){await this.#a()&&await Ss(this.api,e=>this.counts=e)}updated(){this.#n||this.page.value===void 0||(this.#n=!0,performance.mark("rally-list"))}focusKey(e){this.find(`[data-key="${CSS.escape(e)}"] .key-name`)?.focus()}#a(){let{filters:e}=this;return this.page.run(()=>ws(this.api,e,this.pageSize,this.cursors.at(-1)??null))}#o(e){this.filters={...this.filters,...e},this.cursors=[null],this.#a()}render(){let{value:e,error:r,slow:i}=this.page,n=e!==void 0&&e.items.length===0&&!xs(this.filters)&&this.cursors.length===1;return o`
<div class="view-head">
<div>
<h1 class="title" tabindex="-1">${l.list.title}</h1>
<p class="muted">${l.list.intro}</p>
</div>
${this.mayCreate&&!n?o`<button type="button" class="button primary" part="create" @click=${()=>this.emit("create")}>
${f("plus")} ${l.list.create}
</button>`:c}
</div>
${n&&r===null?this.#u():this.#l(e)}
${i?o`<p class="slow" role="status">${l.common.slow}</p>`:c}
`}#u(){return o`<section class="empty" part="empty">
<span class="empty-icon">${f("key")}</span>
<h2>${l.list.emptyTitle}</h2>
<p>${l.list.emptyText}</p>
${this.mayCreate?o`<ul>
${l.list.emptyPoints.map(e=>o`<li>${f("check")}<span>${e}</span></li>`)}
</ul>
<button type="button" class="button primary" part="create" @click=${()=>this.emit("create")}>
${f("plus")} ${l.list.create}
</button>`:o`<p class="muted">${l.list.emptyReader}</p>`}
</section>`}#l(e){let{error:r,busy:i}=this.page;return o`
${this.#y()}
${k(r,()=>this.reload())}
${e===void 0?r===null?this.#v():c:e.items.length===0?this.#b():this.#$(e,i)}
<p class="visually-hidden" role="status">${e===void 0||i?"":l.list.found(e.items.length)}</p>
`}#y(){let e=l.list,{filters:r}=this;return o`
<div class="filters" role="group" aria-label=${e.statusFilter}>
${this.#h(null,e.all)}
${Cr.map(i=>this.#h(i,l.status[i]))}
</div>
<div class="tools">
<div class="search">
<label class="visually-hidden" for=${this.#e}>${e.search}</label>
${f("search")}
<input
id=${this.#e}
type="search"
maxlength="100"
autocomplete="off"
placeholder=${e.searchPlaceholder}
.value=${r.search}
@input=${this.#f}
/>
</div>
<div class="select">
<label for=${this.#t}>${e.scope}</label>
<select id=${this.#t} @change=${i=>this.#o({scope:Mt(i)||null})}>
<option value="">${e.scopeAny}</option>
${ne.map(i=>o`<option value=${i} ?selected=${r.scope===i}>${l.scopes[i]}</option>`)}
</select>
</div>
<div class="select">
<label for=${this.#r}>${e.createdBy}</label>
<select id=${this.#r} @change=${i=>this.#o({createdBy:Mt(i)||null})}>
<option value="">${e.createdByAnyone}</option>
${this.#c().map(i=>o`<option value=${i} ?selected=${r.createdBy===i}>${i===this.#d()?e.createdByMe:ee(i)}</option>`)}
</select>
</div>
<div class="select">
<label for=${this.#s}>${e.sort}</label>
<select id=${this.#s} ?disabled=${Es(r)} @change=${i=>this.#o({sort:Mt(i)})}>
${Object.entries(e.sorts).map(([i,n])=>o`<option value=${i} .selected=${ct(r)===i}>${n}</option>`)}
</select>
</div>
</div>
<div class="chips" role="group" aria-label=${e.marksFilter}>
<span class="chips-label" aria-hidden="true">${e.marksFilter}</span>
${qr.map(i=>this.#g(i))}
</div>
`}#h(e,r){let i=this.counts.statuses[e??"all"],n=this.filters.status===e&&this.filters.mark===null;return o`<button type="button" class="filter" aria-pressed=${n?"true":"false"} @click=${()=>this.#o({status:e,mark:null})}>
${r} ${i===void 0?c:o`<span class="count">${i===null?l.list.more(g(St)):g(i)}</span>`}
</button>`}#g(e){let r=this.counts.marks[e],i=this.filters.mark===e,n=r?.count===0&&!i,a=r===void 0?c:o`<span class="count">${r.count===null?l.list.more(g(St)):r.atLeast?l.list.more(g(r.count)):g(r.count)}</span>`;return o`<button
type="button"
class=${n?"chip none":"chip"}
aria-pressed=${i?"true":"false"}
@click=${()=>this.#o({mark:i?null:e,status:null})}
>
${l.list[e]} ${a}
</button>`}#b(){return o`<section class="empty small">
<h2>${l.list.nothingFound}</h2>
<p>${l.list.nothingFoundHint}</p>
<button type="button" class="button" @click=${()=>this.#o({...ze,sort:this.filters.sort})}>${l.list.clear}</button>
</section>`}#v(){return o`<div class="skeleton" role="status" aria-label=${l.common.loading}>
${[0,1,2,3,4].map(()=>o`<div class="skeleton-row"><span></span><span></span><span></span></div>`)}
</div>`}#$(e,r){let i=l.list,n=e.items.some(a=>a.usage!==void 0);return o`
<table class=${r?"keys busy":"keys"} part="list" role="table" aria-label=${i.title} aria-busy=${r?"true":"false"}>
<thead role="rowgroup">
<tr role="row">
${this.#p(i.columnName,"name")}
<th scope="col" role="columnheader">${i.columnScopes}</th>
${n?o`<th scope="col" role="columnheader">${i.columnUsage}</th>`:c}
${this.#p(i.columnLastUsed,"-lastUsedAt")}
${this.#p(i.columnExpires,"expiresAt")}
${this.#p(i.columnCreated,"-createdAt")}
<th scope="col" role="columnheader">${i.columnStatus}</th>
</tr>
</thead>
<tbody role="rowgroup">
${e.items.map(a=>this.#x(a,n))}
</tbody>
</table>
${this.#A(e)}
`}#p(e,r){let i=r.startsWith("-")?r.slice(1):`-${r}`,n=ct(this.filters),d=n===r||n===i?n.startsWith("-")?"descending":"ascending":"none";return o`<th scope="col" role="columnheader" aria-sort=${d}>
<button type="button" class="sort" ?disabled=${Es(this.filters)} @click=${()=>this.#o({sort:n===r?i:r})}>${e}</button>
</th>`}#x(e,r){let i=l.list,n=st(e);return o`<tr role="row" part="row" data-key=${e.id} class=${e.isActive?"key":"key inactive"} @click=${a=>this.#w(a,e)}>
<th scope="row" role="rowheader" class="cell-name">
${this.#k(e)}
${e.description===null?c:o`<span class="description" title=${e.description}>${e.description}</span>`}
<span class="under"><code class="hint">${e.keyHint}</code>${n.map(a=>ds(a,e))}</span>
</th>
<td role="cell" data-label=${i.columnScopes}>${ls(e.scopes)}</td>
${r?o`<td role="cell" class="cell-usage" data-label=${i.columnUsage}>${e.usage===void 0?c:vs(e.usage)}</td>`:c}
<td role="cell" data-label=${i.columnLastUsed}>${N(e.lastUsedAt,o`<span class="muted">${l.time.never}</span>`)}</td>
<td role="cell" data-label=${i.columnExpires}>${N(e.expiresAt,o`<span class="muted">${l.time.never}</span>`)}</td>
<td role="cell" class="cell-created" data-label=${i.columnCreated}>
<time datetime=${e.createdAt} title=${ie(e.createdAt)}>${Et(e.createdAt)}</time>
${e.createdBy===null?c:o`<span class="muted creator" title=${e.createdBy}>${i.by(ee(e.createdBy))}</span>`}
</td>
<td role="cell" class="cell-status" data-label=${i.columnStatus}>${tt(e)}</td>
</tr>`}#k(e){let r=i=>{i.ctrlKey||i.metaKey||i.shiftKey||(i.preventDefault(),this.emit("open-key",e.id))};return this.keyUrl===""?o`<button type="button" class="key-name link" @click=${r}>${e.name}</button>`:o`<a class="key-name link" href=${this.keyUrl.replace("{id}",e.id)} @click=${r}>${e.name}</a>`}#w(e,r){e.defaultPrevented||e.target.closest("a, button")!==null||String(getSelection())!==""||this.emit("open-key",r.id)}#A(e){let r=l.list,i=(this.cursors.length-1)*this.pageSize+1,n=i+e.items.length-1,a=[g(i),g(n)];return o`<nav class="pages" aria-label=${r.pages}>
<span class="muted">${e.total===null?r.rangeOpen(...a):r.range(...a,g(e.total))}</span>
<button type="button" class="button" ?disabled=${this.cursors.length===1} @click=${()=>this.#m(this.cursors.slice(0,-1))}>${f("back")} ${r.previous}</button>
<button type="button" class="button" ?disabled=${e.next===null} @click=${()=>this.#m([...this.cursors,e.next])}>${r.next} ${f("forward")}</button>
</nav>`}async#m(e){this.cursors=e,await this.#a(),this.find(".keys")?.scrollIntoView({block:"nearest"})}#d(){let e=this.me?.principal;return e===void 0?null:e.kind==="user"?e.name:`api-key:${e.id}`}#c(){let e=new Set(this.page.value?.items.flatMap(i=>i.createdBy??[])??[]);this.filters.createdBy!==null&&e.add(this.filters.createdBy);let r=this.#d();return r!==null&&e.delete(r),[...r===null?[]:[r],...[...e].sort()]}#f};p([h({attribute:!1})],B.prototype,"api",2),p([h({attribute:!1})],B.prototype,"me",2),p([h({type:Boolean})],B.prototype,"mayCreate",2),p([h({type:Number})],B.prototype,"pageSize",2),p([h()],B.prototype,"keyUrl",2),p([m()],B.prototype,"filters",2),p([m()],B.prototype,"counts",2),p([m()],B.prototype,"cursors",2);$("rally-key-list",B);var Es=({mark:t})=>t==="neverUsed"||t==="oldSecret",Mt=t=>t.target.value;var w=l.events;function Ps(t,s,e){let r=s===null?w.thisKey:w.key(s);return w.sentence[t.type]?.(ee(t.actor,e),r)??t.type}function Mo(t){let s=t.details;return typeof s.name=="string"?s.name:s.name?.to??null}function Rs(t){switch(t.type){case"created":case"revoked":{let{scopes:s,expiresAt:e,keyHint:r,reason:i}=t.details,n=e===null?w.endsNever:w.ends(M(e));return[w.secret(r),w.granted(l.scopes[C(s)]),...t.type==="created"?[n]:[],...i===void 0?[]:[w.reason(i)]]}case"updated":return Ts(t.details);case"rotated":{let{previousKeyHint:s,previousExpiresAt:e,keyHint:r}=t.details;return[w.newSecret(r),e===null?w.overlapNone(s):w.overlap(s,M(e))]}case"previous_secret_ended":return[w.secret(t.details.previousKeyHint)];case"suspended":case"resumed":{let{until:s,reason:e}=t.details;return[...s===null?[]:[w.until(M(s))],...e===null?[]:[w.reason(e)]]}case"secret_reused":return[w.secret(t.details.keyHint)];case"receipt":{let{instances:s,slowestMs:e}=t.details;return[w.proven(g(s),g(e))]}case"idle_notice":return[w.suspendedOn(M(t.details.suspendAt))];case"exposed":case"decoy_used":{let{keyHint:s,userAgent:e}=t.details;return[w.secret(s),...e===null?[]:[e]]}case"leaked":{let{keyHint:s,url:e,otherUrls:r,action:i}=t.details,n=[...e===null?[]:[e],...r];return[w.secret(s),...n.map(w.foundAt),w.leakActions[i]??i]}case"policy_changed":{let{from:s,to:e}=t.details,r=Object.keys(e).filter(i=>JSON.stringify(s[i])!==JSON.stringify(e[i]));return Ts(Object.fromEntries(r.map(i=>[i,{from:s[i],to:e[i]}])))}default:return[]}}function Ts(t){return Object.entries(t).flatMap(([s,e])=>{let r=w.fields[s];return r===void 0?[]:[w.change(r,_s(s,e.from),_s(s,e.to))]})}function _s(t,s){return s==null||s===""?t==="expiresAt"?l.time.never:l.common.none:t==="scopes"||t==="allowedScopes"?l.scopes[C(String(s))]:t==="expiresAt"?M(String(s)):t==="rateLimit"||t==="defaultRateLimit"?we(s):t==="quota"?fe(s):Array.isArray(s)?s.length===0?l.common.any:s.join(", "):typeof s=="number"?g(s):String(s)}var Lr={created:"good",revoked:"bad",secret_reused:"bad",leaked:"bad",decoy_used:"bad",exposed:"bad",suspended:"warn",rotated:"accent",resumed:"good"},Cs=t=>o`<span class="dot ${Lr[t.type]??""}" aria-hidden="true"></span>`;var Ur=["name","description","scopes","expiresAt","allowedAddresses","rateLimit","quota"],V=class extends _{constructor(){super(...arguments);this.granted="admin";this.policy=null;this.errors={};this.conflict=null;this.#e=Date.now();this.#s=async e=>{e?.preventDefault();let r=this.form?.draft;if(r!==void 0){if(this.draft=r,this.errors=at(r,this.#e),Object.keys(this.errors).length===0){let i=ms(r,this.base.value,this.#e);if(Object.keys(i).length===0){this.close();return}await this.attempt(()=>this.#n(i))}await this.updateComplete,await this.form?.updateComplete,this.find('[aria-invalid="true"]')?.focus()}};this.#a=()=>{this.emit("key-changed",this.base.value.id),this.close()};this.#o=async()=>{let{conflict:e}=this;e!==null&&await this.attempt(async()=>{let r=this.base;this.base=e.theirs;try{await this.#n(e.mine)}catch(i){throw this.base=r,Object.keys(this.errors).length>0&&(this.conflict=null),i}})}}#e;connectedCallback(){super.connectedCallback(),this.base=this.opened,this.draft=Pt(this.base.value),this.api.policy().then(e=>this.policy=e,()=>{})}get form(){return this.find("rally-key-form")}render(){return this.conflict===null?this.#t():this.#r(this.conflict)}#t(){let e=this.error!==null&&Object.keys(this.errors).length===0;return this.frame(l.form.editTitle,o`<form id="edit-form" novalidate @submit=${this.#s}>
${e?k(this.error,this.#s,!1):c}
<rally-key-form
.initial=${this.draft}
.errors=${this.errors}
.policy=${this.policy}
.currentEnd=${this.base.value.expiresAt}
granted=${this.granted}
.now=${this.#e}
></rally-key-form>
</form>`,o`<button type="button" class="button" ?disabled=${this.busy} @click=${()=>this.close()}>${l.common.cancel}</button>
<button type="submit" form="edit-form" class="button primary" ?disabled=${this.busy}>${this.busy?l.common.saving:l.common.save}</button>`,{wide:!0})}#r({theirs:e,mine:r,actor:i,at:n}){let a=l.conflict,d=this.base.value,u=Ur.filter(y=>y in r||Lt(d[y],e.value[y])),b=e.value.status==="revoked";return this.frame(a.title,o`<div class="conflict" role="alert">
${n===null?c:o`<p>${a.by(ee(i))} ${N(n)}.</p>`}
${b?o`<p class="field-error">${a.revoked}</p>`:c}
${k(this.error)}
<div class="scroll" tabindex="0" role="group" aria-label=${a.title}>
<table class="plain compare">
<thead>
<tr><th scope="col">${a.field}</th><th scope="col">${a.before}</th><th scope="col">${a.theirs}</th><th scope="col">${a.yours}</th></tr>
</thead>
<tbody>
${u.map(y=>o`<tr>
<th scope="row">${l.events.fields[y]}</th>
<td>${Ut(d,y)}</td>
<td class=${Lt(d[y],e.value[y])?"differs":""}>${Lt(d[y],e.value[y])?Ut(e.value,y):o`<span class="muted">${a.unchanged}</span>`}</td>
<td class=${y in r?"differs":""}>${y in r?Ut({...d,...r},y):o`<span class="muted">${a.unchanged}</span>`}</td>
</tr>`)}
</tbody>
</table>
</div>
</div>`,o`<button type="button" class="button" data-focus ?disabled=${this.busy} @click=${this.#a}>${a.takeTheirs}</button>
${b?c:o`<button type="button" class="button primary" ?disabled=${this.busy} @click=${this.#o}>${this.busy?l.common.saving:a.saveMine}</button>`}`,{wide:!0})}#s;async#n(e){try{let r=await this.api.update(this.base.value.id,e,this.base.etag);this.emit("key-changed",r.value.id),this.busy=!1,this.close()}catch(r){let i=X(r);if(i.code==="precondition_failed"||i.code==="key_revoked"){await this.#i(e);return}throw this.errors=lt(i,this.draft)??{},i}}async#i(e){let[r,i]=await Promise.all([this.api.key(this.base.value.id),this.api.keyEvents(this.base.value.id,{limit:1})]),n=i.items[0];this.conflict={theirs:r,mine:e,actor:n?.actor??null,at:n?.occurredAt??null},await this.updateComplete,this.find("[data-focus]")?.focus()}#a;#o};p([h({attribute:!1})],V.prototype,"opened",2),p([h()],V.prototype,"granted",2),p([m()],V.prototype,"base",2),p([m()],V.prototype,"policy",2),p([m()],V.prototype,"errors",2),p([m()],V.prototype,"conflict",2),p([m()],V.prototype,"draft",2);$("rally-edit-dialog",V);var Lt=(t,s)=>JSON.stringify(t)!==JSON.stringify(s);function Ut(t,s){switch(s){case"scopes":return l.scopes[C(t.scopes)];case"expiresAt":return t.expiresAt===null?l.time.never:M(t.expiresAt);case"allowedAddresses":return t.allowedAddresses.length===0?l.key.addressesAny:t.allowedAddresses.join(", ");case"rateLimit":return we(t.rateLimit);case"quota":return fe(t.quota);default:return t[s]??l.common.none}}var Nt=(t,s=Date.now())=>t.filter(e=>s-Date.parse(e.lastSeenAt)<x),Ke=t=>t.address===null?o`<span title=${l.key.callerManyHint}>${l.key.callerMany}</span>`:o`<code>${t.address}</code>`,Be=t=>t.userAgent===null?t.address===null?c:o`<span class="muted">${l.key.callerNoProgram}</span>`:o`<span class="program" title=${t.userAgent}>${t.userAgent}</span>`;function Ee(t){let s=l.revoke,e=Nt(t);return e.length===0?o`<p class="note good">${s.recentNone}</p>`:o`<div class="note warn block">
<p><b>${s.recent}</b></p>
<ul class="caller-list">
${e.slice(0,5).map(r=>o`<li>${Ke(r)} ${Be(r)} <span class="muted">${N(r.lastSeenAt)}</span></li>`)}
${e.length>5?o`<li class="muted">+ ${g(e.length-5)}</li>`:c}
</ul>
</div>`}function pt(t,s,e,r,i=!1){let n=je(e);return o`<div class="field">
<label for="${t}-reason">${l.reason.label} <span class="optional">${l.common.optional}</span></label>
<input
id="${t}-reason"
?data-focus=${i}
type="text"
maxlength="200"
autocomplete="off"
aria-describedby="${t}-reason-hint ${t}-reason-error"
aria-invalid=${n.length>0?"true":"false"}
.value=${s}
@input=${a=>r(a.target.value)}
/>
<p class="hint-text" id="${t}-reason-hint">${l.reason.hint}</p>
<div id="${t}-reason-error">
${n.map(({message:a})=>o`<p class="field-error">${f("warning")}<span>${a}</span></p>`)}
</div>
</div>`}var je=t=>t?.errors.filter(({field:s})=>s==="reason")??[];var j=l.revoke,le=class extends _{constructor(){super(...arguments);this.reason="";this.typed="";this.mismatch=!1;this.callers=new U(this);this.#e=E();this.#n=()=>{this.emit("suspend-instead"),this.close()};this.#i=async e=>{if(e.preventDefault(),this.mismatch=this.#t&&this.typed.trim()!==this.key.name,this.mismatch){await this.updateComplete,this.find('[aria-invalid="true"]')?.focus();return}await this.attempt(async()=>{this.receipt=await this.api.revoke(this.key.id,this.reason.trim()),this.emit("key-revoked",this.key.id)}),this.receipt!==void 0&&this.find("[data-focus]")?.focus()}}#e;connectedCallback(){super.connectedCallback(),this.callers.run(()=>this.api.callers(this.key.id))}get#t(){let{value:e}=this.callers;return this.key.status==="expired"?!1:e===void 0?this.callers.error!==null:Nt(e).length>0}render(){let{key:e,receipt:r}=this;if(r!==void 0)return this.frame(l.key.revokedBanner,o`<p class="note" role="status">
${f("info")}<span>${r===null?j.unproven:j.proven(g(r.instances),g(r.slowest))}</span>
</p>`,o`<button type="button" class="button primary" data-focus @click=${()=>this.close()}>${l.common.close}</button>`);let i=e.status==="active";return this.frame(j.title(e.name),o`<form id="revoke-form" novalidate @submit=${this.#i}>
${je(this.error).length===0?k(this.error,this.#i,!1):c}
<p>${j.lead}</p>
${this.#r()}
${i?o`<p class="suggestion">
<span>${j.suspendFirst}</span>
<button type="button" class="button" @click=${this.#n}>${f("pause")} ${j.suspendInstead}</button>
</p>`:c}
${pt(this.#e,this.reason,this.error,n=>this.reason=n)}
${this.#t?this.#s():c}
</form>`,o`<button type="button" class="button" data-focus ?disabled=${this.busy} @click=${()=>this.close()}>${l.common.cancel}</button>
<button type="submit" form="revoke-form" class="button danger" ?disabled=${this.busy||this.callers.value===void 0&&this.callers.error===null}>
${this.busy?j.busy:j.submit}
</button>`)}#r(){let{value:e,error:r}=this.callers;return e!==void 0?Ee(e):r===null?o`<p class="muted" role="status">${l.common.loading}</p>`:o`<p class="note warn">${f("warning")}<span>${j.recentUnknown}</span></p>`}#s(){return o`<div class="field">
<label for="${this.#e}-name">${j.typeName(this.key.name)}</label>
<input
id="${this.#e}-name"
type="text"
autocomplete="off"
spellcheck="false"
aria-describedby="${this.#e}-mismatch"
aria-invalid=${this.mismatch?"true":"false"}
.value=${this.typed}
@input=${e=>{this.typed=e.target.value,this.mismatch=!1}}
/>
<div id="${this.#e}-mismatch">
${this.mismatch?o`<p class="field-error">${f("warning")}<span>${j.typeMismatch}</span></p>`:c}
</div>
</div>`}#n;#i};p([h({attribute:!1})],le.prototype,"key",2),p([m()],le.prototype,"reason",2),p([m()],le.prototype,"typed",2),p([m()],le.prototype,"mismatch",2),p([m()],le.prototype,"receipt",2);$("rally-revoke-dialog",le);var I=l.rotate,Nr=[[3600,I.hour],[86400,I.day],[604800,I.week],[0,I.none]],se=class extends _{constructor(){super(...arguments);this.callers=null;this.overlap=86400;this.created=null;this.stored=!1;this.nudge=!1;this.#e=new xe;this.#t=E();this.#s=async()=>{await this.attempt(async()=>{let{value:e,etag:r}=this.opened,i=this.#e.for(this.overlap);this.created=await Ze(()=>this.api.rotate(e.id,this.overlap,r,i)),this.emit("key-rotated",e.id),await this.updateComplete,this.find("[data-secret]")?.focus()})}}#e;#t;mayClose(){return this.created===null?super.mayClose():(this.stored||(this.nudge=!0),this.stored)}render(){if(this.created!==null)return this.#r(this.created);let e=this.opened.value,r=e.expiresAt!==null&&Date.parse(e.expiresAt)<Date.now()+this.overlap*1e3?e.expiresAt:null;return this.frame(I.title(e.name),o`
${k(this.error,this.#s,!1)}
<p>${I.lead}</p>
<ol class="steps">${I.steps.map(i=>o`<li>${i}</li>`)}</ol>
<fieldset class="field">
<legend>${I.overlap}</legend>
<div class="segments">
${Nr.map(([i,n])=>o`<label class="segment">
<input type="radio" ?data-focus=${this.overlap===i} name=${this.#t} .checked=${this.overlap===i} @change=${()=>this.overlap=i} />
<span>${n}</span>
</label>`)}
</div>
<p class=${this.overlap===0?"note warn":"hint-text"} aria-live="polite">
${this.overlap===0?o`${f("warning")}<span>${I.noneHint}</span>`:r===null?c:I.capped(M(r))}
</p>
</fieldset>
${e.rotation===null?c:o`<p class="note warn">${f("warning")}<span>${I.already(e.rotation.previousKeyHint)}</span></p>`}
${this.callers===null?c:Ee(this.callers)}
`,o`<button type="button" class="button" ?disabled=${this.busy} @click=${()=>this.close()}>${l.common.cancel}</button>
<button type="button" class="button primary" ?disabled=${this.busy} @click=${this.#s}>${this.busy?I.busy:I.submit}</button>`)}#r(e){return this.frame(l.secret.rotatedTitle,o`<rally-secret-panel .created=${e} baseUrl=${this.api.baseUrl} ?nudge=${this.nudge&&!this.stored}></rally-secret-panel>`,o`<label class="confirm">
<input type="checkbox" .checked=${this.stored} @change=${r=>this.stored=r.target.checked} />
<span>${l.secret.stored}</span>
</label>
<button type="button" class="button primary" ?disabled=${!this.stored} @click=${()=>this.close()}>${l.secret.done}</button>`,{wide:!0,closable:!1})}#s};p([h({attribute:!1})],se.prototype,"opened",2),p([h({attribute:!1})],se.prototype,"callers",2),p([m()],se.prototype,"overlap",2),p([m()],se.prototype,"created",2),p([m()],se.prototype,"stored",2),p([m()],se.prototype,"nudge",2);$("rally-rotate-dialog",se);var P=l.rotation,Q=class extends S{constructor(){super(...arguments);this.callers=null;this.secrets=[];this.mayEnd=!1;this.ends=!1;this.error=null}render(){let{rotation:e}=this.key;if(e===null)return c;let{previousKeyHint:r,previousExpiresAt:i,previousLastUsedAt:n}=e,a=this.secrets.find(({keyHint:R,retiredAt:q})=>R===r&&q!==null),d=a?.retiredAt??null,u=d===null||this.callers===null?[]:Ir(this.callers,d),b=d!==null&&n!==null&&Date.parse(n)>Date.parse(d),y=[a?.lastAddress,a?.lastUserAgent].filter(Boolean).join(" · "),v=b?y===""?P.used(Z(n)):P.usedBy(Z(n),y):P.unused;return o`<section class="card rotation" part="rotation" aria-label=${P.title}>
<div class="card-head">
<h2 class="section-title">${f("rotate")} ${P.title}</h2>
${this.mayEnd?o`<button type="button" class="button" data-action="end-previous" @click=${()=>this.ends=!0}>${P.end}</button>`:c}
</div>
<p>${P.until(r)} ${ke(i)} <span class="muted">(${N(i)})</span>.</p>
${this.#e(d,i)}
<p class="rotation-state ${b?"warn":"good"}" aria-live="polite" data-state=${b?"used":"unused"}>
${f(b?"warning":"check")}<span>${v}</span>
</p>
${u.length===0?c:o`<ul class="programs" aria-label=${P.programs}>
${u.map(({caller:R,progress:q})=>this.#t(R,q))}
</ul>`}
${k(this.error)}
${this.ends?o`<rally-end-secret-dialog
.api=${this.api}
keyId=${this.key.id}
.usedAt=${b?n:null}
@closed=${()=>this.ends=!1}
></rally-end-secret-dialog>`:c}
</section>`}#e(e,r){if(e===null)return c;let i=Date.parse(e),n=Math.min(100,Math.max(0,Math.round((Date.now()-i)/(Date.parse(r)-i)*100)));return o`<progress class="meter" max="100" value=${n} aria-label=${P.elapsed(n)}></progress>`}#t(e,r){let i={old:P.stillOld,moved:P.moved,silent:P.silent}[r];return o`<li>
<span class="program-state ${r}">${f(r==="moved"?"check":r==="old"?"warning":"info")} ${i}</span>
<span>${Ke(e)} ${Be(e)}</span>
<span class="muted">${N(e.lastSeenAt)}</span>
</li>`}};p([h({attribute:!1})],Q.prototype,"api",2),p([h({attribute:!1})],Q.prototype,"key",2),p([h({attribute:!1})],Q.prototype,"callers",2),p([h({attribute:!1})],Q.prototype,"secrets",2),p([h({type:Boolean})],Q.prototype,"mayEnd",2),p([m()],Q.prototype,"ends",2),p([m()],Q.prototype,"error",2);$("rally-rotation-panel",Q);function Ir(t,s){let e=new Map,r=Date.parse(s);for(let n of t){let a=`${n.address}
${n.userAgent}`,u=Date.parse(n.lastSeenAt)>r?n.secret==="previous"?"old":"moved":"silent";e.has(a)||e.set(a,{caller:n,progress:u})}let i=["old","silent","moved"];return[...e.values()].sort((n,a)=>i.indexOf(n.progress)-i.indexOf(a.progress)).slice(0,10)}var Fe=class extends _{constructor(){super(...arguments);this.keyId="";this.usedAt=null;this.#e=async()=>{await this.attempt(async()=>{await this.api.endPreviousSecret(this.keyId),this.busy=!1,this.emit("key-changed",this.keyId),this.close()})}}render(){return this.frame(P.endTitle,o`${k(this.error,this.#e,!1)}
<p>${P.endText}</p>
${this.usedAt===null?o`<p class="note good">${P.unused}</p>`:o`<p class="note warn">${f("warning")}<span>${P.endUsed(Z(this.usedAt))}</span></p>`}`,o`<button type="button" class="button" data-focus ?disabled=${this.busy} @click=${()=>this.close()}>${l.common.cancel}</button>
<button type="button" class="button primary" ?disabled=${this.busy} @click=${this.#e}>${P.end}</button>`)}#e};p([h()],Fe.prototype,"keyId",2),p([h({attribute:!1})],Fe.prototype,"usedAt",2);$("rally-end-secret-dialog",Fe);var L=l.suspend,Or={hour:3600,day:86400,week:604800},Dr=[["resumed",L.untilResumed],["hour",L.hour],["day",L.day],["week",L.week],["custom",L.custom]],J=class extends _{constructor(){super(...arguments);this.callers=null;this.resume=!1;this.until="resumed";this.customAt=Y(new Date(Date.now()+2*864e5));this.reason="";this.customError=!1;this.#e=E();this.#r=async e=>{e.preventDefault();let r=this.#s();if(this.customError=r!==null&&!(r.getTime()>Date.now()),this.customError){await this.updateComplete,this.find('[aria-invalid="true"]')?.focus();return}await this.attempt(async()=>{let{id:i}=this.key,n=this.reason.trim()||null;await(this.resume?this.api.resume(i,n):this.api.suspend(i,r?.toISOString()??null,n)),this.emit("key-changed",i),this.busy=!1,this.close()})}}#e;render(){let{key:e,resume:r}=this,i=je(this.error).length===0;return this.frame(r?L.resumeTitle(e.name):L.title(e.name),o`<form id="suspend-form" novalidate @submit=${this.#r}>
${i?k(this.error,this.#r,!1):c}
<p>${r?L.resumeLead:L.lead}</p>
${r?c:this.#t()}
${pt(this.#e,this.reason,this.error,n=>this.reason=n,r)}
${r||this.callers===null?c:Ee(this.callers)}
</form>`,o`<button type="button" class="button" ?disabled=${this.busy} @click=${()=>this.close()}>${l.common.cancel}</button>
<button type="submit" form="suspend-form" class="button primary" ?disabled=${this.busy}>
${r?this.busy?L.resumeBusy:L.resumeSubmit:this.busy?L.busy:L.submit}
</button>`)}#t(){return o`<fieldset class="field">
<legend>${L.until}</legend>
<div class="segments">
${Dr.map(([e,r],i)=>o`<label class="segment">
<input type="radio" ?data-focus=${i===0} name="${this.#e}-until" .checked=${this.until===e} @change=${()=>this.until=e} />
<span>${r}</span>
</label>`)}
</div>
${this.until==="custom"?o`<div class="inline-field">
<label for="${this.#e}-custom">${L.customAt}</label>
<input
id="${this.#e}-custom"
type="datetime-local"
min=${Y(new Date)}
aria-invalid=${this.customError?"true":"false"}
aria-describedby="${this.#e}-custom-error"
.value=${this.customAt}
@input=${e=>this.customAt=e.target.value}
/>
</div>`:c}
<div id="${this.#e}-custom-error">
${this.customError?o`<p class="field-error">${f("warning")}<span>${l.form.customRequired}</span></p>`:c}
</div>
</fieldset>`}#r;#s(){return this.until==="resumed"||this.resume?null:this.until==="custom"?new Date(this.customAt):new Date(Date.now()+Or[this.until]*1e3)}};p([h({attribute:!1})],J.prototype,"key",2),p([h({attribute:!1})],J.prototype,"callers",2),p([h({type:Boolean})],J.prototype,"resume",2),p([m()],J.prototype,"until",2),p([m()],J.prototype,"customAt",2),p([m()],J.prototype,"reason",2),p([m()],J.prototype,"customError",2);$("rally-suspend-dialog",J);var Hr=1e4,zr=5e3,qs=20,Ms={day:{ms:x,interval:"hour",label:l.usage.day},week:{ms:7*x,interval:"hour",label:l.usage.week},month:{ms:30*x,interval:"day",label:l.usage.month},quarter:{ms:90*x,interval:"day",label:l.usage.quarter}},Kr=({ms:t,interval:s})=>new Date(Date.now()-t+(s==="hour"?36e5:x)),F=class extends S{constructor(){super();this.keyId="";this.mayChange=!1;this.granted="read";this.listUrl="";this.range="month";this.dialog=null;this.notice="";this.key=new U(this);this.usage=new U(this);this.quotaUsed=new U(this);this.callers=new U(this);this.events=new U(this);this.#e=E();this.#r=null;this.#l=()=>{clearTimeout(this.#t);let e=this.key.value?.value;document.hidden||!this.isConnected||e===void 0||e.status==="revoked"||(this.#t=setTimeout(()=>{this.#y()},e.rotation===null?Hr:zr))};this.#d=async()=>{this.dialog=this.#r,this.#r=null,await this.#f()};this.#c=async()=>{await this.reload(),this.notice=l.key.changedMeanwhile,await this.#f()};new $e(this)}#e;#t;#r;connectedCallback(){super.connectedCallback(),document.addEventListener("visibilitychange",this.#l)}disconnectedCallback(){super.disconnectedCallback(),document.removeEventListener("visibilitychange",this.#l),clearTimeout(this.#t)}willUpdate(e){if(e.has("keyId")||e.has("api")){for(let r of[this.key,this.usage,this.quotaUsed,this.callers,this.events])r.reset();this.dialog=null,this.#s()}}async#s(){await this.reload(),await this.updateComplete,this.dialog===null&&this.find(".title")?.focus({preventScroll:!0})}async reload(){await Promise.all([this.#n(),this.#i(),this.#a(),this.#o()]),this.#l()}async#n(){if(!await this.key.run(()=>this.api.key(this.keyId)))return;let e=this.key.value?.value.quota??null;if(e===null)return;let r=new Date,i=new Date(Date.UTC(r.getUTCFullYear(),r.getUTCMonth(),e.per==="day"?r.getUTCDate():1));await this.quotaUsed.run(async()=>{let{requests:n,denied:a}=await this.api.usage(this.keyId,i,"day");return n-a})}async#i(){let e=Ms[this.range];e!==void 0&&await this.usage.run(()=>this.api.usage(this.keyId,Kr(e),e.interval))}async#a(){await this.callers.run(()=>this.api.callers(this.keyId))}async#o(){await this.events.run(()=>this.api.keyEvents(this.keyId,{limit:qs}))}async#u(){let e=this.events.value;if(e?.next==null)return;let r=e.next;await this.events.run(async()=>{let i=await this.api.keyEvents(this.keyId,{limit:qs,cursor:r});return{...i,items:[...e.items,...i.items]}})}#l;async#y(){let e=this.key.value?.etag;try{let r=await this.api.key(this.keyId);r.etag!==e&&this.dialog===null&&(this.key.value=r,this.requestUpdate(),await Promise.all([this.#i(),this.#a(),this.#o()]))}catch{}this.#l()}render(){let{value:e,error:r,slow:i}=this.key;return o`
<p class="crumb">${this.#h()}</p>
${e===void 0&&r!==null?o`<h1 class="title" tabindex="-1">${l.key.unknown}</h1>`:c}
${k(r,()=>this.reload())}
${e===void 0?r===null?this.#g():c:this.#b(e.value)}
${i?o`<p class="slow" role="status">${l.common.slow}</p>`:c}
<p class="visually-hidden" role="status">${this.notice}</p>
`}#h(){let e=i=>{i.ctrlKey||i.metaKey||i.shiftKey||(i.preventDefault(),this.emit("open-list"))},r=o`${f("back")} ${l.key.back}`;return this.listUrl===""?o`<button type="button" class="link" @click=${e}>${r}</button>`:o`<a class="link" href=${this.listUrl} @click=${e}>${r}</a>`}#g(){return o`<div class="skeleton" role="status" aria-label=${l.common.loading}>
${[0,1,2].map(()=>o`<div class="skeleton-row"><span></span><span></span></div>`)}
</div>`}#b(e){return o`
<header class="view-head">
<div>
<h1 class="title" tabindex="-1">${e.name} ${tt(e)}</h1>
${e.description===null?c:o`<p class="muted long">${e.description}</p>`}
</div>
${this.#v(e)}
</header>
${this.#$(e)}
${e.rotation===null?c:o`<rally-rotation-panel
.api=${this.api}
.key=${e}
.callers=${this.callers.value??null}
.secrets=${this.usage.value?.secrets??[]}
?mayEnd=${this.mayChange}
@key-changed=${()=>this.reload()}
></rally-rotation-panel>`}
<div class="columns">
<div class="column">${this.#p()} ${this.#x()} ${this.#k()}</div>
<div class="column side">${this.#w(e)}</div>
</div>
${this.#m(e)}
`}#v(e){if(!this.mayChange||e.status==="revoked")return c;let r=l.key;return o`<div class="actions" role="group" aria-label=${r.actions} part="actions">
<button type="button" class="button" data-action="edit" @click=${()=>this.dialog="edit"}>${f("edit")} ${r.edit}</button>
${e.status==="expired"?c:o`<button type="button" class="button" data-action="rotate" @click=${()=>this.dialog="rotate"}>${f("rotate")} ${r.rotate}</button>
${e.status==="suspended"?o`<button type="button" class="button" data-action="resume" @click=${()=>this.dialog="resume"}>${f("play")} ${r.resume}</button>`:o`<button type="button" class="button" data-action="suspend" @click=${()=>this.dialog="suspend"}>${f("pause")} ${r.suspend}</button>`}`}
<button type="button" class="button danger-quiet" data-action="revoke" @click=${()=>this.dialog="revoke"}>${f("trash")} ${r.revoke}</button>
</div>`}#$(e){let r=l.key,i={active:null,suspended:e.suspendedUntil===null?r.suspendedBanner:r.suspendedBannerUntil(M(e.suspendedUntil)),expired:r.expiredBanner,revoked:r.revokedBanner}[e.status];return i===null?c:o`<p class="note ${e.status==="suspended"?"warn":""}">${f("info")}<span>${i}</span></p>`}#p(){let{value:e,error:r}=this.usage;return o`<section class="card" aria-labelledby="${this.#e}-usage">
<div class="card-head">
<h2 id="${this.#e}-usage" class="section-title">${l.usage.chart}</h2>
${Br(this.range,i=>{this.range=i,this.#i()})}
</div>
${k(r,()=>this.#i())}
${e===void 0?c:o`<rally-usage-chart .buckets=${e.buckets} interval=${e.interval}></rally-usage-chart>`}
</section>`}#x(){let e=l.key,{value:r,error:i}=this.callers;return o`<section class="card" aria-labelledby="${this.#e}-callers">
<h2 id="${this.#e}-callers" class="section-title">${e.callers}</h2>
${k(i,()=>this.#a())}
${r===void 0?c:r.length===0?o`<p class="muted">${e.callersNone}</p>`:o`<div class="scroll" tabindex="0" role="group" aria-label=${e.callers}>
<table class="plain">
<thead>
<tr>
<th scope="col">${e.callerAddress}</th>
<th scope="col">${e.callerProgram}</th>
<th scope="col">${e.callerLast}</th>
<th scope="col" class="number">${e.callerRequests}</th>
<th scope="col">${e.callerSecret}</th>
</tr>
</thead>
<tbody>
${r.map(n=>o`<tr>
<td>${Ke(n)}</td>
<td>${Be(n)}</td>
<td>${N(n.lastSeenAt)}</td>
<td class="number">${g(n.requests)}</td>
<td>${n.secret==="current"?e.callerSecretCurrent:o`<span class="mark">${e.callerSecretPrevious}</span>`}</td>
</tr>`)}
</tbody>
</table>
</div>
<p class="hint-text">${e.callersHint}</p>`}
</section>`}#k(){let{value:e,error:r,busy:i}=this.events;return o`<section class="card" aria-labelledby="${this.#e}-events">
<h2 id="${this.#e}-events" class="section-title">${l.key.events}</h2>
${k(r,()=>this.#o())}
${e===void 0?c:o`<ol class="timeline">
${e.items.map(n=>o`<li>
${Cs(n)}
<div>
<p>${Ps(n,null,()=>{})}</p>
<p class="muted small long">${Rs(n).join(" · ")}</p>
<p class="muted small">${N(n.occurredAt)}${n.address===null?c:` ${l.events.from(n.address)}`}</p>
</div>
</li>`)}
</ol>
${e.next===null?c:o`<button type="button" class="button" ?disabled=${i} @click=${()=>this.#u()}>${l.events.older}</button>`}`}
</section>`}#w(e){let r=l.key,i=C(e.scopes),n=(a,d)=>o`<div><dt>${a}</dt><dd>${d}</dd></div>`;return o`<section class="card" aria-labelledby="${this.#e}-about">
<h2 id="${this.#e}-about" class="section-title">${r.about}</h2>
<dl class="facts">
${n(r.scopes,o`${l.scopes[i]}<span class="fact-hint">${l.scopes[`${i}Hint`]}</span>`)}
${n(r.expires,e.expiresAt===null?l.time.never:o`${ke(e.expiresAt)}<span class="fact-hint">${Z(e.expiresAt)}</span>`)}
${n(r.lastUsed,N(e.lastUsedAt,l.time.never))}
${n(r.addresses,e.allowedAddresses.length===0?r.addressesAny:o`<ul class="address-list">${e.allowedAddresses.map(a=>o`<li><code>${a}</code></li>`)}</ul>`)}
${n(r.rateLimit,we(e.rateLimit))}
${n(r.quota,this.#A(e))}
${n(r.created,o`${ke(e.createdAt)}${e.createdBy===null?c:o`<span class="fact-hint long">${l.list.by(ee(e.createdBy))}</span>`}`)}
${e.revokedAt===null?c:n(r.revoked,ke(e.revokedAt))}
${n(r.hint,o`<code>${e.keyHint}</code>`)}
${n(r.id,o`<span class="id-line"><code class="id">${e.id}</code><rally-copy-button compact .text=${e.id} label="${l.common.copy}: ${r.id}"></rally-copy-button></span>`)}
</dl>
</section>`}#A(e){let{quota:r}=e,i=this.quotaUsed.value;if(r===null||i===void 0)return fe(r);let n=l.key.quotaUsed(g(i),g(r.requests));return o`${fe(r)}<progress class="meter" max=${r.requests} value=${Math.min(i,r.requests)} aria-label=${n}></progress><span class="fact-hint">${n}</span>`}#m(e){let r=this.key.value,i=this.callers.value??null;if(this.dialog===null||r===void 0)return c;switch(this.dialog){case"edit":return o`<rally-edit-dialog .api=${this.api} .opened=${r} granted=${this.granted} @closed=${this.#d} @key-changed=${this.#c}></rally-edit-dialog>`;case"rotate":return o`<rally-rotate-dialog .api=${this.api} .opened=${r} .callers=${i} @closed=${this.#d} @key-rotated=${this.#c} @key-changed=${this.#c}></rally-rotate-dialog>`;case"suspend":case"resume":return o`<rally-suspend-dialog .api=${this.api} .key=${e} .callers=${i} ?resume=${this.dialog==="resume"} @closed=${this.#d} @key-changed=${this.#c}></rally-suspend-dialog>`;case"revoke":return o`<rally-revoke-dialog
.api=${this.api}
.key=${e}
@closed=${this.#d}
@key-revoked=${this.#c}
@suspend-instead=${()=>this.#r="suspend"}
></rally-revoke-dialog>`}}#d;#c;async#f(){await this.updateComplete;let e=this.getRootNode();this.dialog===null&&(e.activeElement===null||e.activeElement===document.body)&&this.find(".title")?.focus()}};p([h({attribute:!1})],F.prototype,"api",2),p([h()],F.prototype,"keyId",2),p([h({type:Boolean})],F.prototype,"mayChange",2),p([h()],F.prototype,"granted",2),p([h()],F.prototype,"listUrl",2),p([m()],F.prototype,"range",2),p([m()],F.prototype,"dialog",2),p([m()],F.prototype,"notice",2);$("rally-key-view",F);function Br(t,s){return o`<div class="segments small" role="group" aria-label=${l.usage.range}>
${Object.entries(Ms).map(([e,{label:r}])=>o`<button type="button" class="segment" aria-pressed=${t===e?"true":"false"} @click=${()=>s(e)}><span>${r}</span></button>`)}
</div>`}var Ls=T`:host{--accent: var(--rally-accent, light-dark(#3b5bdb, #91a7ff));--on-accent: var(--rally-on-accent, light-dark(#fff, #10131c));--bg: var(--rally-background, light-dark(#fff, #14171d));--surface: var(--rally-surface, light-dark(#fff, #1a1e26));--sunken: var(--rally-sunken, light-dark(#f5f6f8, #111419));--text: var(--rally-text, light-dark(#1b2130, #e6e9f0));--muted: var(--rally-muted, light-dark(#5a6376, #a3adbf));--border: var(--rally-border, light-dark(#dfe3ea, #2e3542));--control: var(--rally-control-border, light-dark(#868fa3, #6b7689));--good: var(--rally-good, light-dark(#1a7242, #6dd49a));--warn: var(--rally-warning, light-dark(#8a5300, #f0b95b));--bad: var(--rally-danger, light-dark(#c0262f, #ff9a9a));--good-soft: light-dark(#e7f6ed, #16301f);--warn-soft: light-dark(#fff4de, #33270f);--bad-soft: light-dark(#fdecec, #3a191b);--accent-soft: light-dark(#edf1ff, #1e2748);--radius: var(--rally-radius, 8px);--mono: var(--rally-font-mono, ui-monospace, "SF Mono", "Cascadia Mono", "DejaVu Sans Mono", Menlo, Consolas, monospace);color-scheme:light dark;display:block;container-type:inline-size;font:14px/1.5 var(--rally-font, system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif);color:var(--text);text-align:start}:host([theme="light"]){color-scheme:light}:host([theme="dark"]){color-scheme:dark}:host([hidden]),[hidden]{display:none!important}*,*:before,*:after{box-sizing:border-box}h1,h2,h3,p,ul,ol,dl,dd,fieldset,legend,pre{margin:0;padding:0;border:0;min-inline-size:0}ul,ol{list-style:none}code,.code,pre{font-family:var(--mono);font-size:.93em}rally-key-list,rally-key-view,rally-audit-view,rally-policy-view,rally-usage-view{display:block}.muted{color:var(--muted)}.small{font-size:13px}.long{overflow-wrap:anywhere;white-space:pre-line}.visually-hidden{position:absolute;inline-size:1px;block-size:1px;overflow:hidden;clip-path:inset(50%);white-space:nowrap}.icon{flex:none;vertical-align:-.15em}time[title],span[title]{text-decoration:none}:focus-visible{outline:2px solid var(--accent);outline-offset:2px}.title:focus-visible,.dialog-title:focus-visible,.problem:focus-visible{outline:none}button,input,select,textarea{font:inherit;color:inherit}.button{display:inline-flex;align-items:center;justify-content:center;gap:6px;min-block-size:34px;padding:5px 12px;border:1px solid var(--border);border-radius:calc(var(--radius) - 2px);background:var(--surface);font-weight:550;white-space:nowrap;cursor:pointer}.button:hover:not(:disabled){background:var(--sunken);border-color:var(--control)}.button.primary{background:var(--accent);border-color:var(--accent);color:var(--on-accent)}.button.primary:hover:not(:disabled){background:color-mix(in oklab,var(--accent) 88%,var(--text))}.button.danger{background:light-dark(#c0262f,#ff9a9a);border-color:transparent;color:light-dark(#fff,#2a0c0d)}.button.danger:hover:not(:disabled){background:light-dark(#a51d26,#ffb3b3)}.button.danger-quiet{color:var(--bad)}.button:disabled{cursor:default;background:var(--sunken);border-color:var(--border);color:color-mix(in oklab,var(--muted) 75%,var(--sunken))}.icon-button{display:inline-grid;place-items:center;inline-size:32px;block-size:32px;padding:0;border:0;border-radius:6px;background:none;color:var(--muted);cursor:pointer}.icon-button:hover{background:var(--sunken);color:var(--text)}.link{display:inline;padding:0;border:0;background:none;color:inherit;text-align:start;text-decoration:none;cursor:pointer}.link:hover{text-decoration:underline;text-underline-offset:3px}a.plain-link{color:var(--accent)}input:where([type=text],[type=search],[type=password],[type=number],[type=date],[type=datetime-local]),select,textarea{block-size:36px;max-inline-size:100%;padding:5px 10px;border:1px solid var(--control);border-radius:calc(var(--radius) - 2px);background:var(--surface)}textarea{block-size:auto;resize:vertical;display:block}::placeholder{color:var(--muted);opacity:1}[aria-invalid=true]{border-color:var(--bad)!important;box-shadow:inset 0 0 0 1px var(--bad)}input[type=radio],input[type=checkbox]{accent-color:var(--accent);inline-size:16px;block-size:16px;margin:2px 0 0;flex:none}.view-head{display:flex;flex-wrap:wrap;justify-content:space-between;align-items:flex-start;gap:12px 24px;margin-block-end:20px}.view-head>div:first-child{flex:1 1 260px;min-inline-size:0}.title{font-size:22px;line-height:1.3;font-weight:650;letter-spacing:-.01em;overflow-wrap:anywhere}.title .badge{vertical-align:3px;margin-inline-start:6px;letter-spacing:0}.section-title{display:flex;align-items:center;gap:8px;font-size:14px;font-weight:650}.crumb{margin-block-end:8px;color:var(--muted)}.actions{display:flex;flex-wrap:wrap;gap:8px}.slow{margin-block:12px;color:var(--muted)}.card{margin-block-end:16px;padding:16px;border:1px solid var(--border);border-radius:var(--radius);background:var(--surface)}.card>.section-title:not(:last-child){margin-block-end:12px}.card-head{display:flex;flex-wrap:wrap;align-items:center;justify-content:space-between;gap:8px;margin-block-end:12px}.columns{display:grid;grid-template-columns:minmax(0,1fr) 300px;gap:16px;align-items:start}.column{min-inline-size:0}`;var Us=T`.chart-numbers{display:flex;gap:24px;margin-block-end:8px}.big{font-size:22px;font-weight:650;font-variant-numeric:tabular-nums}.refused{color:var(--bad)}.chart-frame{display:grid;grid-template-columns:auto minmax(0,1fr);gap:4px 8px}.chart{inline-size:100%;block-size:160px;display:block}.chart-scale{display:flex;flex-direction:column;justify-content:space-between;font-size:12px;line-height:1;text-align:end;color:var(--muted);font-variant-numeric:tabular-nums}.chart-axis{grid-column:2;display:flex;justify-content:space-between;gap:8px;font-size:12px;color:var(--muted)}.chart-grid{stroke:var(--border);vector-effect:non-scaling-stroke}.bucket-back{fill:transparent}.bucket.selected .bucket-back{fill:color-mix(in oklab,var(--accent) 14%,transparent)}.bar{fill:currentColor}.bar.accepted,.swatch.accepted{color:var(--accent)}.bar.expired,.swatch.expired{color:light-dark(#a8324a,#ff8fa3)}.bar.scope,.swatch.scope{color:light-dark(#c77700,#f0b95b)}.bar.revoked,.swatch.revoked{color:light-dark(#c0262f,#ff6b6b)}.bar.suspended,.swatch.suspended{color:light-dark(#8d6e20,#cdb26a)}.bar.address,.swatch.address{color:light-dark(#8f3fa8,#d79aec)}.bar.rateLimit,.swatch.rateLimit{color:light-dark(#0d7a86,#63d1dd)}.bar.quota,.swatch.quota{color:light-dark(#5c6470,#aab3c2)}.chart-readout{min-block-size:21px;margin-block:8px;font-size:13px;color:var(--muted)}.chart-readout b{color:var(--text)}.legend{display:flex;flex-wrap:wrap;gap:4px 16px;font-size:13px}.swatch{display:inline-block;inline-size:10px;block-size:10px;margin-inline-end:6px;border-radius:2px;background:currentColor}.chart-table{margin-block-start:10px;font-size:13px}.chart-table summary{color:var(--muted);cursor:pointer}.chart-table .scroll{max-block-size:320px;overflow:auto}`;var Ns=T`.dialog{inline-size:min(520px,100vw - 24px);max-block-size:min(92vh,900px);padding:0;border:1px solid var(--border);border-radius:calc(var(--radius) + 4px);background:var(--surface);color:var(--text);box-shadow:0 16px 48px #0a0e1947;text-align:start}.dialog.wide{inline-size:min(640px,100vw - 24px)}.dialog[open]{display:flex;flex-direction:column}.dialog::backdrop{background:#0a0e1973}.dialog-head{display:flex;align-items:flex-start;justify-content:space-between;gap:12px;padding:16px 20px 8px}.dialog-title{font-size:17px;font-weight:650;overflow-wrap:anywhere}.dialog-body{padding:0 20px 16px;overflow-y:auto}.dialog-foot{display:flex;flex-wrap:wrap;justify-content:flex-end;gap:8px;padding:12px 20px;border-block-start:1px solid var(--border)}.dialog-foot .confirm{flex:1 1 260px;display:flex;gap:8px;align-items:flex-start;padding-block:5px}.field{margin-block:14px}.field>label,.field>legend{display:block;margin-block-end:4px;font-weight:600}.optional{font-weight:400;font-size:13px;color:var(--muted)}.field>input,.field>textarea{inline-size:100%}.hint-text{margin-block-start:4px;font-size:13px;color:var(--muted)}.field-error{display:flex;gap:6px;margin-block-start:4px;font-size:13px;color:var(--bad)}.field-error .icon{margin-block-start:2px}.choices{border:1px solid var(--border);border-radius:var(--radius)}.choice{display:flex;gap:10px;padding:9px 12px;cursor:pointer}.choice+.choice{border-block-start:1px solid var(--border)}.choice:has(:checked){background:var(--accent-soft)}.choice b,.more b{font-weight:600}.choice-hint{display:block;font-size:13px;color:color-mix(in oklab,var(--muted) 80%,var(--text))}.off{cursor:not-allowed}.choice.off b{font-weight:400;color:var(--muted)}.segments{display:flex;flex-wrap:wrap;gap:6px}.segment{position:relative;display:inline-flex;align-items:center;min-block-size:34px;padding:4px 12px;border:1px solid var(--control);border-radius:calc(var(--radius) - 2px);background:var(--surface);cursor:pointer}.segment input{position:absolute;inset:0;inline-size:100%;block-size:100%;margin:0;opacity:0;cursor:inherit}.segment:has(:checked),.segment[aria-pressed=true]{border-color:var(--accent);background:var(--accent-soft);box-shadow:inset 0 0 0 1px var(--accent);font-weight:550}.segment:has(:focus-visible){outline:2px solid var(--accent);outline-offset:2px}.segment.off{border-style:dashed;border-color:var(--border);color:var(--muted);cursor:not-allowed;text-decoration:line-through}.segments.small .segment{min-block-size:28px;padding:2px 9px;border-color:var(--border);font-size:13px}.segments.small .segment[aria-pressed=true]{border-color:var(--accent)}.inline-field{display:flex;flex-wrap:wrap;align-items:center;gap:8px;margin-block-start:10px}.pair{display:flex;flex-wrap:wrap;align-items:center;gap:8px}.pair .number{inline-size:130px}.more{margin-block:14px;padding:10px 12px;border:1px solid var(--border);border-radius:var(--radius)}.more summary{cursor:pointer}.steps{margin-block:10px;padding-inline-start:20px;list-style:decimal;color:var(--muted)}.suggestion{display:flex;flex-wrap:wrap;align-items:center;justify-content:space-between;gap:8px;margin-block:12px}.suggestion>span{flex:1 1 220px}.secret{display:flex;flex-wrap:wrap;gap:8px;margin-block:12px 18px}.secret input{flex:1 1 260px;min-inline-size:0;min-block-size:40px;background:var(--sunken);font-size:14px;text-overflow:ellipsis}.secret .button{min-block-size:40px}.tabs{display:flex;gap:2px;margin-block:6px 0}.tab{padding:4px 10px;border:0;border-block-end:2px solid transparent;background:none;color:var(--muted);cursor:pointer}.tab[aria-selected=true]{color:var(--text);border-block-end-color:var(--accent);font-weight:550}.snippet{position:relative;border:1px solid var(--border);border-radius:calc(var(--radius) - 2px);background:var(--sunken)}.snippet pre{overflow-x:auto;padding:10px 44px 10px 12px;font-size:12.5px;direction:ltr;text-align:left}.snippet rally-copy-button{position:absolute;inset-block-start:4px;inset-inline-end:4px;background:var(--sunken)}`;var Is=T`.facts{display:grid;gap:12px}.facts dt{font-size:12px;color:var(--muted)}.facts dd{overflow-wrap:anywhere}.fact-hint{display:block;font-size:13px;color:var(--muted)}.id-line{display:flex;align-items:center;gap:4px}.id{font-size:12px}.meter{display:block;appearance:none;inline-size:100%;block-size:6px;margin-block:6px;border:0;border-radius:3px;overflow:hidden;background:var(--sunken);box-shadow:inset 0 0 0 1px var(--border)}.meter::-webkit-progress-bar{background:var(--sunken)}.meter::-webkit-progress-value{background:var(--accent)}.meter::-moz-progress-bar{background:var(--accent)}.rotation{border-color:var(--accent)}.rotation-state{display:flex;gap:8px;margin-block-start:4px;font-weight:550}.rotation-state .icon{margin-block-start:3px}.rotation-state.warn{color:var(--warn)}.rotation-state.good{color:var(--good)}.programs{margin-block-start:10px;border-block-start:1px solid var(--border)}.programs li{display:grid;grid-template-columns:210px minmax(0,1fr) auto;gap:4px 12px;padding-block:8px;border-block-end:1px solid var(--border)}.programs li:last-child{border:0;padding-block-end:0}.program-state.old{color:var(--warn)}.program-state.moved{color:var(--good)}.program-state.silent{color:var(--muted)}.program{display:inline-block;overflow-wrap:anywhere}.plain .program{min-inline-size:100px}.plain .key-name{overflow-wrap:break-word}.timeline{display:grid;gap:14px}.timeline li{display:grid;grid-template-columns:10px minmax(0,1fr);gap:10px}.timeline+.button{margin-block-start:14px}.dot{inline-size:8px;block-size:8px;margin-block-start:7px;border-radius:50%;background:var(--control)}.dot.good{background:var(--good)}.dot.bad{background:var(--bad)}.dot.warn{background:var(--warn)}.dot.accent{background:var(--accent)}.plain{inline-size:100%;border-collapse:collapse}.plain th,.plain td{padding:6px 12px 6px 0;text-align:start;vertical-align:top;font-weight:400}.plain thead th{font-size:12px;color:var(--muted);white-space:nowrap}.plain tbody tr>*{border-block-start:1px solid var(--border)}.plain .number{text-align:end;font-variant-numeric:tabular-nums}.plain time,.plain code,.caller-list time{white-space:nowrap}.scroll{overflow-x:auto}.compare td,.compare th{min-inline-size:90px;overflow-wrap:anywhere}.compare .differs{font-weight:600}`;var Os=T`.filters{display:flex;flex-wrap:wrap;gap:2px;border-block-end:1px solid var(--border);margin-block-end:12px}.filter{padding:7px 12px;margin-block-end:-1px;border:0;border-block-end:2px solid transparent;background:none;color:var(--muted);font-weight:550;cursor:pointer}.filter:hover{color:var(--text)}.filter[aria-pressed=true]{color:var(--text);border-block-end-color:var(--accent)}.count{margin-inline-start:4px;padding:1px 7px;border-radius:99px;background:var(--sunken);color:var(--muted);font-size:12px;font-variant-numeric:tabular-nums}.tools{display:flex;flex-wrap:wrap;gap:10px;align-items:end;margin-block-end:10px}.search{position:relative;flex:1 1 240px;color:var(--muted)}.search .icon{position:absolute;inset-inline-start:10px;inset-block-start:10px}.search input{inline-size:100%;padding-inline-start:32px;color:var(--text)}.select{display:flex;flex-direction:column;gap:2px;min-inline-size:0}.select label{font-size:12px;color:var(--muted)}.chips{display:flex;flex-wrap:wrap;align-items:center;gap:6px;margin-block-end:14px}.chips-label{margin-inline-end:4px;font-size:12px;color:var(--muted)}.chip{padding:3px 6px 3px 10px;border:1px solid var(--border);border-radius:99px;background:var(--surface);font-size:13px;cursor:pointer}.chip:hover{border-color:var(--control)}.chip.none{color:var(--muted);background:none}.chip[aria-pressed=true]{background:var(--accent-soft);border-color:var(--accent)}.chip[aria-pressed=true] .count{background:var(--surface)}.keys{inline-size:100%;border-collapse:separate;border-spacing:0;border:1px solid var(--border);border-radius:var(--radius);background:var(--surface)}.keys.busy{border-block-start-color:var(--accent);cursor:progress}.keys th,.keys td{padding:10px 12px;text-align:start;vertical-align:top;font-weight:400}.keys thead th{padding-block:6px;vertical-align:middle;background:var(--sunken);border-block-end:1px solid var(--border);font-size:12px;color:var(--muted);white-space:nowrap}.keys thead th:first-child{border-start-start-radius:var(--radius)}.keys thead th:last-child{border-start-end-radius:var(--radius)}.key+.key>*{border-block-start:1px solid var(--border)}.key{cursor:pointer}.key:hover>*{background:color-mix(in oklab,var(--sunken) 70%,var(--surface))}.key:last-child>:first-child{border-end-start-radius:var(--radius)}.key:last-child>:last-child{border-end-end-radius:var(--radius)}.cell-name{min-inline-size:220px;max-inline-size:380px}.key-name{font-weight:600;overflow-wrap:anywhere}.key.inactive .key-name{color:var(--muted)}.description{display:block;overflow:hidden;text-overflow:ellipsis;white-space:nowrap;color:var(--muted)}.under{display:flex;flex-wrap:wrap;align-items:center;gap:4px 8px;margin-block-start:2px}.hint{color:var(--muted);font-size:12px}.cell-created .creator{display:block;max-inline-size:170px;overflow:hidden;text-overflow:ellipsis;white-space:nowrap;font-size:13px}.keys td{white-space:nowrap}.sort{padding:2px 4px;margin-inline-start:-4px;border:0;border-radius:4px;background:none;color:inherit;cursor:pointer}.sort:enabled:hover{color:var(--text)}.sort:disabled{cursor:default}[aria-sort=ascending] .sort:after{content:" \\2191"}[aria-sort=descending] .sort:after{content:" \\2193"}[aria-sort=ascending] .sort,[aria-sort=descending] .sort{color:var(--text);font-weight:600}.pages{display:flex;flex-wrap:wrap;align-items:center;justify-content:flex-end;gap:8px;margin-block-start:12px}.pages>:first-child{flex:1;white-space:nowrap}.badge,.mark,.scope{display:inline-block;padding:0 8px;border-radius:99px;font-size:12px;line-height:20px;font-weight:550;white-space:nowrap}.badge.active{background:var(--good-soft);color:var(--good)}.badge.suspended{background:var(--warn-soft);color:var(--warn)}.badge.expired,.badge.revoked{background:var(--sunken);color:var(--muted)}.badge.expired{background:var(--bad-soft);color:var(--bad)}.mark{background:var(--warn-soft);color:var(--warn)}.mark.quiet{background:var(--sunken);color:var(--muted)}.scope{padding:0;border-radius:0;font-size:14px;font-weight:400}.scope.admin{color:var(--warn);font-weight:550}.spark{display:inline-flex;align-items:flex-end;gap:8px}.spark-base{stroke:var(--border)}.spark-bars{fill:var(--accent)}.spark-total{min-inline-size:3ch;font-size:12px;color:var(--muted);font-variant-numeric:tabular-nums}.key.inactive .spark-bars{fill:var(--control)}.empty{max-inline-size:560px;margin:24px auto;padding:32px;border:1px dashed var(--control);border-radius:calc(var(--radius) + 4px);text-align:center}.empty.small{border-style:solid;border-color:var(--border);padding:28px}.empty h2{font-size:17px;margin-block-end:6px}.empty-icon{display:inline-grid;place-items:center;inline-size:44px;block-size:44px;margin-block-end:12px;border-radius:50%;background:var(--accent-soft);color:var(--accent)}.empty ul{margin-block:16px 20px;text-align:start;display:grid;gap:8px}.empty li{display:flex;gap:8px}.empty li .icon{color:var(--good);margin-block-start:3px}.empty .button{margin-block-start:12px}.skeleton{border:1px solid var(--border);border-radius:var(--radius)}.skeleton-row{display:flex;gap:24px;padding:18px 12px}.skeleton-row+.skeleton-row{border-block-start:1px solid var(--border)}.skeleton-row span{flex:1;block-size:12px;border-radius:4px;background:var(--sunken)}.skeleton-row span:first-child{flex:2}`;var Ds=T`@container (max-width: 860px){.columns{grid-template-columns:minmax(0,1fr)}.column.side{order:-1}.side .facts{grid-template-columns:repeat(auto-fill,minmax(130px,1fr))}.keys,.keys tbody,.keys tr,.keys th,.keys td{display:block}.keys thead{display:none}.key{display:grid!important;grid-template-columns:repeat(auto-fill,minmax(140px,1fr));gap:6px 12px;padding:12px;position:relative}.key+.key{border-block-start:1px solid var(--border)}.key>*,.key+.key>*{border:0!important}.keys th,.keys td{padding:0}.keys .cell-name{grid-column:1 / -1;max-inline-size:none;padding-inline-end:90px}.keys .cell-status{position:absolute;inset-block-start:12px;inset-inline-end:12px}.keys td:not(.cell-status):before{content:attr(data-label);display:block;font-size:12px;color:var(--muted)}.rules{grid-template-columns:minmax(0,1fr)}}@container (max-width: 560px){.tools .select{flex:1 1 130px}.tools .select select{inline-size:100%}.plain .spark-chart{display:none}.plain thead th,.plain time{white-space:normal}.filter{padding-inline:8px;white-space:nowrap}.actions{inline-size:100%}.actions .button{flex:1 1 auto}.programs li{grid-template-columns:minmax(0,1fr)}.event-list>li{grid-template-columns:10px minmax(0,1fr)}.event-when{grid-column:2;text-align:start}}@media(max-width:480px){.dialog-head,.dialog-body,.dialog-foot{padding-inline:14px}}@media(prefers-reduced-motion:reduce){*{transition:none!important}}@media(forced-colors:active){.segment:has(:checked),.segment[aria-pressed=true],.filter[aria-pressed=true],.chip[aria-pressed=true]{outline:2px solid Highlight}.bar,.spark-bars{fill:CanvasText}}`;var Hs=T`.note{display:flex;gap:8px;margin-block:12px;padding:8px 12px;border-radius:calc(var(--radius) - 2px);background:var(--sunken)}.note.block{display:block}.note .icon{margin-block-start:3px}.note.warn{background:var(--warn-soft)}.note.warn .icon{color:var(--warn)}.note.good{background:var(--good-soft)}.caller-list{margin-block-start:4px;display:grid;gap:2px}.note .muted,.problem .muted{color:color-mix(in oklab,var(--muted) 70%,var(--text))}.problem{display:flex;gap:10px;margin-block:12px;padding:12px 14px;border:1px solid var(--bad);border-radius:var(--radius);background:var(--bad-soft);text-align:start}.problem>.icon{margin-block-start:3px;color:var(--bad)}.problem.warn{border-color:var(--warn);background:var(--warn-soft)}.problem.warn>.icon{color:var(--warn)}.problem-text{min-inline-size:0;overflow-wrap:anywhere}.problem-title{font-weight:650}.problem .button{margin-block-start:8px;font-variant-numeric:tabular-nums}.request-id{font-size:12px;color:color-mix(in oklab,var(--muted) 70%,var(--text))}.problem-fields{list-style:disc;padding-inline-start:18px}`;var zs=T`.event-list{border:1px solid var(--border);border-radius:var(--radius);background:var(--surface)}.event-list>li{display:grid;grid-template-columns:10px minmax(0,1fr) auto;gap:4px 10px;padding:11px 14px}.event-list>li+li{border-block-start:1px solid var(--border)}.event-when{text-align:end;font-size:13px;color:var(--muted)}.rules{display:grid;grid-template-columns:repeat(2,minmax(0,1fr));gap:0 24px}.rules .field{margin-block:8px}.rules .check{display:flex;gap:8px}.form-foot+.scroll{margin-block-start:16px}.event-when .link{color:var(--accent)}.form-foot{display:flex;flex-wrap:wrap;gap:8px 16px;align-items:center;margin-block-start:12px}.verdict{display:flex;gap:8px;align-items:flex-start;font-weight:600}.verdict .icon{margin-block-start:3px}.verdict.warn{color:var(--warn)}.verdict.good{color:var(--good)}`;var Ks=[Ls,Os,Is,Us,Hs,Ns,zs,Ds];var jr=5e3,K=class extends W{constructor(){super(...arguments);this.baseUrl="";this.keyId="";this.keyUrl="";this.listUrl="";this.pageSize=50;this.theme="";this.readOnly=!1;this.creating=!1;this.me=new U(this);this.#i=!1}static{this.styles=Ks}#e;willUpdate(e){(!this.hasUpdated||e.has("baseUrl")||e.has("getToken")&&this.me.error!==null)&&(this.#e=new Ue(this.#t(),()=>this.#n()),this.me.run(()=>this.api.me()))}#t(){return this.baseUrl===""?location.origin:new URL(this.baseUrl,location.href).origin}get api(){return this.#e??=new Ue(this.#t(),()=>this.#n()),this.#e}get#r(){return this.renderRoot.querySelector("rally-key-list")}get#s(){return this.renderRoot.querySelector("rally-key-view")}async#n(){let e=Date.now()+jr;do{if(this.getToken!==void 0)return this.getToken();let r,i={respondWith:n=>r=n};if(this.dispatchEvent(new CustomEvent("token-request",{detail:i,bubbles:!0,composed:!0})),r!==void 0)return r;await new Promise(n=>setTimeout(n,100))}while(Date.now()<e);throw console.warn(`<rally-api-keys>: ${l.shell.noToken}`),new Error(l.shell.noToken)}async reload(){await this.me.run(()=>this.api.me()),await Promise.all([this.#r?.reload(),this.#s?.reload()])}render(){let{value:e,error:r}=this.me,i=!this.readOnly&&e!==void 0&&C(e.scopes)==="admin",n=e?.scopes??"read",{api:a}=this;return o`<div
class="root"
part="root"
@create=${()=>this.creating=!0}
@open-key=${d=>this.#a(d.detail)}
@open-list=${()=>this.#a("")}
@key-created=${d=>this.#o("created",d)}
@key-rotated=${d=>this.#o("rotated",d)}
@key-revoked=${d=>this.#o("revoked",d)}
@key-changed=${()=>this.#i=!0}
>
${r===null||r.isSignInNeeded?c:k(r,()=>this.reload())}
<rally-key-list
?hidden=${this.keyId!==""}
.api=${a}
.me=${e??null}
.pageSize=${Math.min(100,Math.max(1,this.pageSize||50))}
keyUrl=${this.keyUrl}
?mayCreate=${!this.readOnly&&e?.canCreate===!0}
></rally-key-list>
${this.keyId===""?c:o`<rally-key-view .api=${a} keyId=${this.keyId} granted=${n} listUrl=${this.listUrl} ?mayChange=${i}></rally-key-view>`}
${this.creating?o`<rally-create-dialog .api=${a} granted=${n} @closed=${()=>this.creating=!1}></rally-create-dialog>`:c}
</div>`}#i;#a(e){let r=this.keyId;e!==r&&(this.keyId=e,this.dispatchEvent(new CustomEvent("navigated",{detail:{id:e===""?null:e},bubbles:!0,composed:!0})))}updated(e){let r=e.get("keyId");if(this.keyId!==""||typeof r!="string"||r==="")return;let i=this.#r;this.#i&&i?.reload(),this.#i=!1,i?.focusKey(r)}#o(e,r){r.stopPropagation(),this.#i=!0,this.keyId===""&&this.#r?.reload();let i={id:r.detail};this.dispatchEvent(new CustomEvent(e,{detail:i,bubbles:!0,composed:!0}))}};p([h({attribute:"base-url"})],K.prototype,"baseUrl",2),p([h({attribute:"key-id"})],K.prototype,"keyId",2),p([h({attribute:"key-url"})],K.prototype,"keyUrl",2),p([h({attribute:"list-url"})],K.prototype,"listUrl",2),p([h({attribute:"page-size",type:Number})],K.prototype,"pageSize",2),p([h({reflect:!0})],K.prototype,"theme",2),p([h({attribute:"read-only",type:Boolean})],K.prototype,"readOnly",2),p([h({attribute:!1})],K.prototype,"getToken",2),p([m()],K.prototype,"creating",2);$("rally-api-keys",K);export{T as a,o as b,c,W as d,h as e,m as f,l as g,Ue as h,S as i,U as j,X as k,$e as l,E as m,$ as n,f as o,_ as p,k as q,g as r,N as s,ke as t,C as u,_t as v,ne as w,ps as x,rt as y,ee as z,vs as A,Ps as B,Mo as C,Rs as D,Cs as E,Ms as F,Kr as G,Br as H,Ks as I,K as J};
