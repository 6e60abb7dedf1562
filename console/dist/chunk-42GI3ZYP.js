import{a as p}from"./chunk-JFKSI6I7.js";var Fe=globalThis,We=Fe.ShadowRoot&&(Fe.ShadyCSS===void 0||Fe.ShadyCSS.nativeShadow)&&"adoptedStyleSheets"in Document.prototype&&"replace"in CSSStyleSheet.prototype,lt=Symbol(),Lt=new WeakMap,Ee=class{constructor(r,e,s){if(this._$cssResult$=!0,s!==lt)throw Error("CSSResult is not constructable. Use `unsafeCSS` or `css` instead.");this.cssText=r,this.t=e}get styleSheet(){let r=this.o,e=this.t;if(We&&r===void 0){let s=e!==void 0&&e.length===1;s&&(r=Lt.get(e)),r===void 0&&((this.o=r=new CSSStyleSheet).replaceSync(this.cssText),s&&Lt.set(e,r))}return r}toString(){return this.cssText}},Ut=t=>new Ee(typeof t=="string"?t:t+"",void 0,lt),dt=(t,...r)=>{let e=t.length===1?t[0]:r.reduce((s,i,n)=>s+(a=>{if(a._$cssResult$===!0)return a.cssText;if(typeof a=="number")return a;throw Error("Value passed to 'css' function must be a 'css' function result: "+a+". Use 'unsafeCSS' to pass non-literal values, but take care to ensure page security.")})(i)+t[n+1],t[0]);return new Ee(e,t,lt)},It=(t,r)=>{if(We)t.adoptedStyleSheets=r.map(e=>e instanceof CSSStyleSheet?e:e.styleSheet);else for(let e of r){let s=document.createElement("style"),i=Fe.litNonce;i!==void 0&&s.setAttribute("nonce",i),s.textContent=e.cssText,t.appendChild(s)}},ct=We?t=>t:t=>t instanceof CSSStyleSheet?(r=>{let e="";for(let s of r.cssRules)e+=s.cssText;return Ut(e)})(t):t;var{is:Cs,defineProperty:qs,getOwnPropertyDescriptor:Ms,getOwnPropertyNames:Ls,getOwnPropertySymbols:Us,getPrototypeOf:Is}=Object,Ye=globalThis,Nt=Ye.trustedTypes,Ns=Nt?Nt.emptyScript:"",Os=Ye.reactiveElementPolyfillSupport,Te=(t,r)=>t,_e={toAttribute(t,r){switch(r){case Boolean:t=t?Ns:null;break;case Object:case Array:t=t==null?t:JSON.stringify(t)}return t},fromAttribute(t,r){let e=t;switch(r){case Boolean:e=t!==null;break;case Number:e=t===null?null:Number(t);break;case Object:case Array:try{e=JSON.parse(t)}catch{e=null}}return e}},Ve=(t,r)=>!Cs(t,r),Ot={attribute:!0,type:String,converter:_e,reflect:!1,useDefault:!1,hasChanged:Ve};Symbol.metadata??=Symbol("metadata"),Ye.litPropertyMetadata??=new WeakMap;var Q=class extends HTMLElement{static addInitializer(r){this._$Ei(),(this.l??=[]).push(r)}static get observedAttributes(){return this.finalize(),this._$Eh&&[...this._$Eh.keys()]}static createProperty(r,e=Ot){if(e.state&&(e.attribute=!1),this._$Ei(),this.prototype.hasOwnProperty(r)&&((e=Object.create(e)).wrapped=!0),this.elementProperties.set(r,e),!e.noAccessor){let s=Symbol(),i=this.getPropertyDescriptor(r,s,e);i!==void 0&&qs(this.prototype,r,i)}}static getPropertyDescriptor(r,e,s){let{get:i,set:n}=Ms(this.prototype,r)??{get(){return this[e]},set(a){this[e]=a}};return{get:i,set(a){let d=i?.call(this);n?.call(this,a),this.requestUpdate(r,d,s)},configurable:!0,enumerable:!0}}static getPropertyOptions(r){return this.elementProperties.get(r)??Ot}static _$Ei(){if(this.hasOwnProperty(Te("elementProperties")))return;let r=Is(this);r.finalize(),r.l!==void 0&&(this.l=[...r.l]),this.elementProperties=new Map(r.elementProperties)}static finalize(){if(this.hasOwnProperty(Te("finalized")))return;if(this.finalized=!0,this._$Ei(),this.hasOwnProperty(Te("properties"))){let e=this.properties,s=[...Ls(e),...Us(e)];for(let i of s)this.createProperty(i,e[i])}let r=this[Symbol.metadata];if(r!==null){let e=litPropertyMetadata.get(r);if(e!==void 0)for(let[s,i]of e)this.elementProperties.set(s,i)}this._$Eh=new Map;for(let[e,s]of this.elementProperties){let i=this._$Eu(e,s);i!==void 0&&this._$Eh.set(i,e)}this.elementStyles=this.finalizeStyles(this.styles)}static finalizeStyles(r){let e=[];if(Array.isArray(r)){let s=new Set(r.flat(1/0).reverse());for(let i of s)e.unshift(ct(i))}else r!==void 0&&e.push(ct(r));return e}static _$Eu(r,e){let s=e.attribute;return s===!1?void 0:typeof s=="string"?s:typeof r=="string"?r.toLowerCase():void 0}constructor(){super(),this._$Ep=void 0,this.isUpdatePending=!1,this.hasUpdated=!1,this._$Em=null,this._$Ev()}_$Ev(){this._$ES=new Promise(r=>this.enableUpdating=r),this._$AL=new Map,this._$E_(),this.requestUpdate(),this.constructor.l?.forEach(r=>r(this))}addController(r){(this._$EO??=new Set).add(r),this.renderRoot!==void 0&&this.isConnected&&r.hostConnected?.()}removeController(r){this._$EO?.delete(r)}_$E_(){let r=new Map,e=this.constructor.elementProperties;for(let s of e.keys())this.hasOwnProperty(s)&&(r.set(s,this[s]),delete this[s]);r.size>0&&(this._$Ep=r)}createRenderRoot(){let r=this.shadowRoot??this.attachShadow(this.constructor.shadowRootOptions);return It(r,this.constructor.elementStyles),r}connectedCallback(){this.renderRoot??=this.createRenderRoot(),this.enableUpdating(!0),this._$EO?.forEach(r=>r.hostConnected?.())}enableUpdating(r){}disconnectedCallback(){this._$EO?.forEach(r=>r.hostDisconnected?.())}attributeChangedCallback(r,e,s){this._$AK(r,s)}_$ET(r,e){let s=this.constructor.elementProperties.get(r),i=this.constructor._$Eu(r,s);if(i!==void 0&&s.reflect===!0){let n=(s.converter?.toAttribute!==void 0?s.converter:_e).toAttribute(e,s.type);this._$Em=r,n==null?this.removeAttribute(i):this.setAttribute(i,n),this._$Em=null}}_$AK(r,e){let s=this.constructor,i=s._$Eh.get(r);if(i!==void 0&&this._$Em!==i){let n=s.getPropertyOptions(i),a=typeof n.converter=="function"?{fromAttribute:n.converter}:n.converter?.fromAttribute!==void 0?n.converter:_e;this._$Em=i;let d=a.fromAttribute(e,n.type);this[i]=d??this._$Ej?.get(i)??d,this._$Em=null}}requestUpdate(r,e,s,i=!1,n){if(r!==void 0){let a=this.constructor;if(i===!1&&(n=this[r]),s??=a.getPropertyOptions(r),!((s.hasChanged??Ve)(n,e)||s.useDefault&&s.reflect&&n===this._$Ej?.get(r)&&!this.hasAttribute(a._$Eu(r,s))))return;this.C(r,e,s)}this.isUpdatePending===!1&&(this._$ES=this._$EP())}C(r,e,{useDefault:s,reflect:i,wrapped:n},a){s&&!(this._$Ej??=new Map).has(r)&&(this._$Ej.set(r,a??e??this[r]),n!==!0||a!==void 0)||(this._$AL.has(r)||(this.hasUpdated||s||(e=void 0),this._$AL.set(r,e)),i===!0&&this._$Em!==r&&(this._$Eq??=new Set).add(r))}async _$EP(){this.isUpdatePending=!0;try{await this._$ES}catch(e){Promise.reject(e)}let r=this.scheduleUpdate();return r!=null&&await r,!this.isUpdatePending}scheduleUpdate(){return this.performUpdate()}performUpdate(){if(!this.isUpdatePending)return;if(!this.hasUpdated){if(this.renderRoot??=this.createRenderRoot(),this._$Ep){for(let[i,n]of this._$Ep)this[i]=n;this._$Ep=void 0}let s=this.constructor.elementProperties;if(s.size>0)for(let[i,n]of s){let{wrapped:a}=n,d=this[i];a!==!0||this._$AL.has(i)||d===void 0||this.C(i,void 0,n,d)}}let r=!1,e=this._$AL;try{r=this.shouldUpdate(e),r?(this.willUpdate(e),this._$EO?.forEach(s=>s.hostUpdate?.()),this.update(e)):this._$EM()}catch(s){throw r=!1,this._$EM(),s}r&&this._$AE(e)}willUpdate(r){}_$AE(r){this._$EO?.forEach(e=>e.hostUpdated?.()),this.hasUpdated||(this.hasUpdated=!0,this.firstUpdated(r)),this.updated(r)}_$EM(){this._$AL=new Map,this.isUpdatePending=!1}get updateComplete(){return this.getUpdateComplete()}getUpdateComplete(){return this._$ES}shouldUpdate(r){return!0}update(r){this._$Eq&&=this._$Eq.forEach(e=>this._$ET(e,this[e])),this._$EM()}updated(r){}firstUpdated(r){}};Q.elementStyles=[],Q.shadowRootOptions={mode:"open"},Q[Te("elementProperties")]=new Map,Q[Te("finalized")]=new Map,Os?.({ReactiveElement:Q}),(Ye.reactiveElementVersions??=[]).push("2.1.2");var gt=globalThis,Dt=t=>t,Qe=gt.trustedTypes,Ht=Qe?Qe.createPolicy("lit-html",{createHTML:t=>t}):void 0,Wt="$lit$",te=`lit$${Math.random().toFixed(9).slice(2)}$`,Yt="?"+te,Ds=`<${Yt}>`,le=document,Re=()=>le.createComment(""),Ce=t=>t===null||typeof t!="object"&&typeof t!="function",bt=Array.isArray,Hs=t=>bt(t)||typeof t?.[Symbol.iterator]=="function",pt=`[ 	
\f\r]`,Pe=/<(?:(!--|\/[^a-zA-Z])|(\/?[a-zA-Z][^>\s]*)|(\/?$))/g,zt=/-->/g,Kt=/>/g,oe=RegExp(`>|${pt}(?:([^\\s"'>=/]+)(${pt}*=${pt}*(?:[^ 	
\f\r"'\`<>=]|("|')|))|$)`,"g"),Bt=/'/g,jt=/"/g,Vt=/^(?:script|style|textarea|title)$/i,vt=t=>(r,...e)=>({_$litType$:t,strings:r,values:e}),o=vt(1),ce=vt(2),Ur=vt(3),de=Symbol.for("lit-noChange"),c=Symbol.for("lit-nothing"),Ft=new WeakMap,ae=le.createTreeWalker(le,129);function Qt(t,r){if(!bt(t)||!t.hasOwnProperty("raw"))throw Error("invalid template strings array");return Ht!==void 0?Ht.createHTML(r):r}var zs=(t,r)=>{let e=t.length-1,s=[],i,n=r===2?"<svg>":r===3?"<math>":"",a=Pe;for(let d=0;d<e;d++){let u=t[d],g,y,v=-1,R=0;for(;R<u.length&&(a.lastIndex=R,y=a.exec(u),y!==null);)R=a.lastIndex,a===Pe?y[1]==="!--"?a=zt:y[1]!==void 0?a=Kt:y[2]!==void 0?(Vt.test(y[2])&&(i=RegExp("</"+y[2],"g")),a=oe):y[3]!==void 0&&(a=oe):a===oe?y[0]===">"?(a=i??Pe,v=-1):y[1]===void 0?v=-2:(v=a.lastIndex-y[2].length,g=y[1],a=y[3]===void 0?oe:y[3]==='"'?jt:Bt):a===jt||a===Bt?a=oe:a===zt||a===Kt?a=Pe:(a=oe,i=void 0);let q=a===oe&&t[d+1].startsWith("/>")?" ":"";n+=a===Pe?u+Ds:v>=0?(s.push(g),u.slice(0,v)+Wt+u.slice(v)+te+q):u+te+(v===-2?d:q)}return[Qt(t,n+(t[e]||"<?>")+(r===2?"</svg>":r===3?"</math>":"")),s]},qe=class t{constructor({strings:r,_$litType$:e},s){let i;this.parts=[];let n=0,a=0,d=r.length-1,u=this.parts,[g,y]=zs(r,e);if(this.el=t.createElement(g,s),ae.currentNode=this.el.content,e===2||e===3){let v=this.el.content.firstChild;v.replaceWith(...v.childNodes)}for(;(i=ae.nextNode())!==null&&u.length<d;){if(i.nodeType===1){if(i.hasAttributes())for(let v of i.getAttributeNames())if(v.endsWith(Wt)){let R=y[a++],q=i.getAttribute(v).split(te),je=/([.?@])?(.*)/.exec(R);u.push({type:1,index:n,name:je[2],strings:q,ctor:je[1]==="."?ht:je[1]==="?"?mt:je[1]==="@"?ft:ye}),i.removeAttribute(v)}else v.startsWith(te)&&(u.push({type:6,index:n}),i.removeAttribute(v));if(Vt.test(i.tagName)){let v=i.textContent.split(te),R=v.length-1;if(R>0){i.textContent=Qe?Qe.emptyScript:"";for(let q=0;q<R;q++)i.append(v[q],Re()),ae.nextNode(),u.push({type:2,index:++n});i.append(v[R],Re())}}}else if(i.nodeType===8)if(i.data===Yt)u.push({type:2,index:n});else{let v=-1;for(;(v=i.data.indexOf(te,v+1))!==-1;)u.push({type:7,index:n}),v+=te.length-1}n++}}static createElement(r,e){let s=le.createElement("template");return s.innerHTML=r,s}};function fe(t,r,e=t,s){if(r===de)return r;let i=s!==void 0?e._$Co?.[s]:e._$Cl,n=Ce(r)?void 0:r._$litDirective$;return i?.constructor!==n&&(i?._$AO?.(!1),n===void 0?i=void 0:(i=new n(t),i._$AT(t,e,s)),s!==void 0?(e._$Co??=[])[s]=i:e._$Cl=i),i!==void 0&&(r=fe(t,i._$AS(t,r.values),i,s)),r}var ut=class{constructor(r,e){this._$AV=[],this._$AN=void 0,this._$AD=r,this._$AM=e}get parentNode(){return this._$AM.parentNode}get _$AU(){return this._$AM._$AU}u(r){let{el:{content:e},parts:s}=this._$AD,i=(r?.creationScope??le).importNode(e,!0);ae.currentNode=i;let n=ae.nextNode(),a=0,d=0,u=s[0];for(;u!==void 0;){if(a===u.index){let g;u.type===2?g=new Me(n,n.nextSibling,this,r):u.type===1?g=new u.ctor(n,u.name,u.strings,this,r):u.type===6&&(g=new yt(n,this,r)),this._$AV.push(g),u=s[++d]}a!==u?.index&&(n=ae.nextNode(),a++)}return ae.currentNode=le,i}p(r){let e=0;for(let s of this._$AV)s!==void 0&&(s.strings!==void 0?(s._$AI(r,s,e),e+=s.strings.length-2):s._$AI(r[e])),e++}},Me=class t{get _$AU(){return this._$AM?._$AU??this._$Cv}constructor(r,e,s,i){this.type=2,this._$AH=c,this._$AN=void 0,this._$AA=r,this._$AB=e,this._$AM=s,this.options=i,this._$Cv=i?.isConnected??!0}get parentNode(){let r=this._$AA.parentNode,e=this._$AM;return e!==void 0&&r?.nodeType===11&&(r=e.parentNode),r}get startNode(){return this._$AA}get endNode(){return this._$AB}_$AI(r,e=this){r=fe(this,r,e),Ce(r)?r===c||r==null||r===""?(this._$AH!==c&&this._$AR(),this._$AH=c):r!==this._$AH&&r!==de&&this._(r):r._$litType$!==void 0?this.$(r):r.nodeType!==void 0?this.T(r):Hs(r)?this.k(r):this._(r)}O(r){return this._$AA.parentNode.insertBefore(r,this._$AB)}T(r){this._$AH!==r&&(this._$AR(),this._$AH=this.O(r))}_(r){this._$AH!==c&&Ce(this._$AH)?this._$AA.nextSibling.data=r:this.T(le.createTextNode(r)),this._$AH=r}$(r){let{values:e,_$litType$:s}=r,i=typeof s=="number"?this._$AC(r):(s.el===void 0&&(s.el=qe.createElement(Qt(s.h,s.h[0]),this.options)),s);if(this._$AH?._$AD===i)this._$AH.p(e);else{let n=new ut(i,this),a=n.u(this.options);n.p(e),this.T(a),this._$AH=n}}_$AC(r){let e=Ft.get(r.strings);return e===void 0&&Ft.set(r.strings,e=new qe(r)),e}k(r){bt(this._$AH)||(this._$AH=[],this._$AR());let e=this._$AH,s,i=0;for(let n of r)i===e.length?e.push(s=new t(this.O(Re()),this.O(Re()),this,this.options)):s=e[i],s._$AI(n),i++;i<e.length&&(this._$AR(s&&s._$AB.nextSibling,i),e.length=i)}_$AR(r=this._$AA.nextSibling,e){for(this._$AP?.(!1,!0,e);r!==this._$AB;){let s=Dt(r).nextSibling;Dt(r).remove(),r=s}}setConnected(r){this._$AM===void 0&&(this._$Cv=r,this._$AP?.(r))}},ye=class{get tagName(){return this.element.tagName}get _$AU(){return this._$AM._$AU}constructor(r,e,s,i,n){this.type=1,this._$AH=c,this._$AN=void 0,this.element=r,this.name=e,this._$AM=i,this.options=n,s.length>2||s[0]!==""||s[1]!==""?(this._$AH=Array(s.length-1).fill(new String),this.strings=s):this._$AH=c}_$AI(r,e=this,s,i){let n=this.strings,a=!1;if(n===void 0)r=fe(this,r,e,0),a=!Ce(r)||r!==this._$AH&&r!==de,a&&(this._$AH=r);else{let d=r,u,g;for(r=n[0],u=0;u<n.length-1;u++)g=fe(this,d[s+u],e,u),g===de&&(g=this._$AH[u]),a||=!Ce(g)||g!==this._$AH[u],g===c?r=c:r!==c&&(r+=(g??"")+n[u+1]),this._$AH[u]=g}a&&!i&&this.j(r)}j(r){r===c?this.element.removeAttribute(this.name):this.element.setAttribute(this.name,r??"")}},ht=class extends ye{constructor(){super(...arguments),this.type=3}j(r){this.element[this.name]=r===c?void 0:r}},mt=class extends ye{constructor(){super(...arguments),this.type=4}j(r){this.element.toggleAttribute(this.name,!!r&&r!==c)}},ft=class extends ye{constructor(r,e,s,i,n){super(r,e,s,i,n),this.type=5}_$AI(r,e=this){if((r=fe(this,r,e,0)??c)===de)return;let s=this._$AH,i=r===c&&s!==c||r.capture!==s.capture||r.once!==s.once||r.passive!==s.passive,n=r!==c&&(s===c||i);i&&this.element.removeEventListener(this.name,this,s),n&&this.element.addEventListener(this.name,this,r),this._$AH=r}handleEvent(r){typeof this._$AH=="function"?this._$AH.call(this.options?.host??this.element,r):this._$AH.handleEvent(r)}},yt=class{constructor(r,e,s){this.element=r,this.type=6,this._$AN=void 0,this._$AM=e,this.options=s}get _$AU(){return this._$AM._$AU}_$AI(r){fe(this,r)}};var Ks=gt.litHtmlPolyfillSupport;Ks?.(qe,Me),(gt.litHtmlVersions??=[]).push("3.3.3");var Jt=(t,r,e)=>{let s=e?.renderBefore??r,i=s._$litPart$;if(i===void 0){let n=e?.renderBefore??null;s._$litPart$=i=new Me(r.insertBefore(Re(),n),n,void 0,e??{})}return i._$AI(t),i};var $t=globalThis,j=class extends Q{constructor(){super(...arguments),this.renderOptions={host:this},this._$Do=void 0}createRenderRoot(){let r=super.createRenderRoot();return this.renderOptions.renderBefore??=r.firstChild,r}update(r){let e=this.render();this.hasUpdated||(this.renderOptions.isConnected=this.isConnected),super.update(r),this._$Do=Jt(e,this.renderRoot,this.renderOptions)}connectedCallback(){super.connectedCallback(),this._$Do?.setConnected(!0)}disconnectedCallback(){super.disconnectedCallback(),this._$Do?.setConnected(!1)}render(){return de}};j._$litElement$=!0,j.finalized=!0,$t.litElementHydrateSupport?.({LitElement:j});var Bs=$t.litElementPolyfillSupport;Bs?.({LitElement:j});($t.litElementVersions??=[]).push("4.2.2");var js={attribute:!0,type:String,converter:_e,reflect:!1,hasChanged:Ve},Fs=(t=js,r,e)=>{let{kind:s,metadata:i}=e,n=globalThis.litPropertyMetadata.get(i);if(n===void 0&&globalThis.litPropertyMetadata.set(i,n=new Map),s==="setter"&&((t=Object.create(t)).wrapped=!0),n.set(e.name,t),s==="accessor"){let{name:a}=e;return{set(d){let u=r.get.call(this);r.set.call(this,d),this.requestUpdate(a,u,t,!0,d)},init(d){return d!==void 0&&this.C(a,void 0,t,d),d}}}if(s==="setter"){let{name:a}=e;return function(d){let u=this[a];r.call(this,d),this.requestUpdate(a,u,t,!0,d)}}throw Error("Unsupported decorator location: "+s)};function h(t){return(r,e)=>typeof e=="object"?Fs(t,r,e):((s,i,n)=>{let a=i.hasOwnProperty(n);return i.constructor.createProperty(n,s),a?Object.getOwnPropertyDescriptor(i,n):void 0})(t,r,e)}function m(t){return h({...t,state:!0,attribute:!1})}var ge=(t,r,e)=>new Intl.PluralRules("en").select(t)==="one"?r:e,N=t=>new Intl.NumberFormat("en").format(t),l={language:"en",time:{justNow:"just now",inAMoment:"in a moment",never:"Never"},common:{cancel:"Cancel",close:"Close",back:"Back",save:"Save changes",saving:"Saving…",loading:"Loading…",retry:"Try again",reload:"Reload",copy:"Copy",copied:"Copied",copyFailed:"Select and copy by hand",none:"None",any:"Any",optional:"optional",requestId:"Request id",slow:"This takes longer than usual. Still waiting for the service…"},errors:{offline:"Your computer is not connected to a network. Nothing was sent.",unreachable:"The service could not be reached, or the connection broke before its response arrived.",noResponse:"The service did not respond within 40 seconds.",signedOut:"You are not signed in, or your session has ended.",status:t=>`The service, or a proxy before it, responded with status ${t}.`,offlineTitle:"You are offline",unreachableTitle:"No connection to the service",sessionTitle:"Sign in again",forbiddenTitle:"You may not do this",notFoundTitle:"This key does not exist",tenantTitle:"This address belongs to no tenant",conflictTitle:"The key has changed in the meantime",revokedTitle:"This key is revoked",expiredTitle:"This key is expired",policyTitle:"Your policy does not allow this",limitTitle:"Too many requests",unavailableTitle:"The service is not available right now",inputTitle:"Please correct the marked fields",otherTitle:"That did not work",signIn:"Sign in again",retryIn:t=>`Try again in ${N(t)} s`,retriesIn:t=>`Next attempt in ${N(t)} s`,retriesOnline:"It loads by itself once you are online again."},status:{active:"Active",suspended:"Suspended",expired:"Expired",revoked:"Revoked",suspendedUntil:t=>`Suspended until ${t}`},scopes:{legend:"What may it do?",read:"Read",write:"Read and write",admin:"Administer",readHint:"Sees the data of your CRM, and changes nothing.",writeHint:"Sees, creates, changes and deletes data of your CRM.",adminHint:"All of that, and manages your API keys: only for programs that create and revoke keys themselves.",notAllowed:"Your policy does not allow this.",notGranted:"You do not have this permission yourself."},list:{title:"API keys",intro:"Each program that works with your CRM signs in with a key of its own.",create:"Create key",search:"Search",searchPlaceholder:"Name, description or last 4 digits",statusFilter:"Status",all:"All",more:t=>`${t}+`,marksFilter:"Needs attention",neverUsed:"Never used",idle:"Idle for 90 days",expiring:"Expires within 30 days",oldSecret:"Old secret still works",markNeverUsed:"Never used",markIdle:"Idle",markExpiring:"Expires soon",markOldSecret:"Old secret works",markOldSecretUsed:"Old secret in use",scope:"Permission",scopeAny:"Any permission",createdBy:"Created by",createdByAnyone:"Anyone",createdByMe:"Me",sort:"Order",sorts:{"-createdAt":"Newest first",createdAt:"Oldest first",name:"Name, A to Z","-name":"Name, Z to A","-lastUsedAt":"Last used first",lastUsedAt:"Longest unused first",expiresAt:"Expires first","-expiresAt":"Expires last"},columnName:"Name",columnScopes:"Permission",columnUsage:"Requests, 30 days",columnLastUsed:"Last used",columnExpires:"Expires",columnCreated:"Created",columnStatus:"Status",usage:t=>`${t} requests in the last 30 days`,by:t=>`by ${t}`,range:(t,r,e)=>`${t}–${r} of ${e}`,rangeOpen:(t,r)=>`${t}–${r}`,previous:"Previous",next:"Next",pages:"Pages",found:t=>`${N(t)} ${ge(t,"key","keys")} shown`,nothingFound:"No key matches",nothingFoundHint:"Change the search or the filters to see more.",clear:"Clear search and filters",emptyTitle:"No API key yet",emptyText:"An API key lets a program (an integration, a script, a nightly job) work with your CRM without a user’s password.",emptyPoints:["Give each program a key of its own: then you see what it does, and can stop it alone.","The secret is shown once, when you create the key. Keep it where the program’s other secrets are.","Let keys end. A key can be rotated without an interruption."],emptyReader:"Nobody has created one. Creating keys needs the admin permission.",key:t=>`Open ${t}`},form:{createTitle:"Create an API key",editTitle:"Edit key",name:"Name",nameHint:"The program that will use it, such as “Zapier Sync”.",description:"Description",descriptionHint:"What it does, and whom to ask about it.",expiry:"When does it end?",days30:"30 days",days90:"90 days",days365:"1 year",custom:"Other",never:"Never",keep:"As it is",customAt:"Ends at",endsAt:t=>`Ends ${t}. You can rotate or extend it before.`,neverWarning:"A key without an end works until somebody revokes it, also when it was lost or forgotten. Prefer an end, and rotate.",limits:"Limits",limitsHint:"Where from, how fast, how much",addresses:"Allowed addresses",addressesHint:"IP addresses or CIDR blocks, one a line: 203.0.113.7 or 2001:db8::/32. Empty: from anywhere.",addressLine:(t,r)=>`Line ${t} (${r})`,rate:"Rate limit",rateHint:"All of them may come at once. Empty: no limit.",rateRequests:"Requests",rateWindow:"in each",second:"second",minute:"minute",hour:"hour",day:"day",month:"month",quota:"Quota",quotaHint:"Counted by days and months of UTC. Empty: no quota.",quotaPer:"in each",policy:"Your policy",policyLifetime:t=>`keys end within ${N(t)} ${ge(t,"day","days")}`,policyKeys:(t,r)=>`${N(t)} of at most ${N(r)} keys are in use`,policyAddresses:"allowed addresses are required",policyRate:(t,r)=>`without a rate limit of its own, a key gets ${t} requests in ${r}`,policyLonger:"Longer than your policy allows.",create:"Create key",creating:"Creating…",nameRequired:"Enter a name.",customRequired:"Choose a date and time in the future.",numberRequired:"Enter a whole number, 1 or more."},secret:{createdTitle:"Copy the secret now",rotatedTitle:"Copy the new secret now",lead:t=>`This is the secret of “${t}”. It is shown this once: nobody, us included, can show it again.`,label:"Secret",copy:"Copy secret",snippets:"Try it",stored:"I have stored the secret in a safe place",done:"Done",notStored:"Store the secret first, then confirm it below. After closing, it cannot be shown again.",shell:"curl",python:"Python",node:"Node.js",snippetHint:"The examples read the secret from the environment, so that it stays out of your code."},key:{back:"All keys",unknown:"API key",edit:"Edit",rotate:"Rotate",suspend:"Suspend",resume:"Resume",revoke:"Revoke",actions:"Actions",about:"About this key",id:"Id",hint:"Secret",scopes:"Permission",created:"Created",createdBy:"Created by",lastUsed:"Last used",expires:"Expires",revoked:"Revoked",addresses:"Allowed addresses",addressesAny:"From anywhere",rateLimit:"Rate limit",quota:"Quota",quotaUsed:(t,r)=>`${t} of ${r} used`,noLimit:"None",rate:(t,r)=>`${t} requests in each ${r}`,quotaPerDay:t=>`${t} requests a day`,quotaPerMonth:t=>`${t} requests a month`,usage:"Requests",callers:"Who uses it",callersHint:"Addresses and programs of the last 30 days.",callersNone:"Nobody has used this key in the last 30 days.",callerAddress:"Address",callerProgram:"Program",callerRequests:"Requests",callerLast:"Last seen",callerSecret:"Secret",callerSecretCurrent:"Current",callerSecretPrevious:"Old",callerMany:"Many addresses",callerManyHint:"Callers that came too fast to be told apart",callerNoProgram:"No program name sent",events:"What happened",suspendedBanner:"This key is suspended: every request with it is refused.",suspendedBannerUntil:t=>`This key is suspended until ${t}: until then every request with it is refused.`,expiredBanner:"This key is expired: every request with it is refused. A later end makes it work again.",revokedBanner:"This key was revoked for good.",changedMeanwhile:"Updated"},rotation:{title:"Rotation in progress",until:t=>`The old secret ${t} still works until`,usedBy:(t,r)=>`Old secret last used ${t} by ${r}`,used:t=>`Old secret last used ${t}`,unused:"Nobody has used the old secret since the rotation.",stillOld:"Still on the old secret",moved:"Uses the new secret",silent:"Not seen since the rotation",end:"End the old secret now",endTitle:"End the old secret?",endText:"Programs that still use it are refused from that moment on.",endUsed:t=>`It was last used ${t}. Whoever used it will be refused.`,programs:"Programs",elapsed:t=>`${t} % of the overlap has passed`},rotate:{title:t=>`Rotate “${t}”`,lead:"The key gets a new secret and keeps its name, permission and usage.",steps:["You get the new secret, and give it to the program.","Until the overlap ends, both secrets work.","You see here who still uses the old one."],overlap:"How long shall the old secret still work?",none:"Not at all",noneHint:"For a secret that has leaked. Programs that use it fail at once.",hour:"1 hour",day:"1 day",week:"7 days",capped:t=>`The key itself ends ${t}, and the old secret with it.`,already:t=>`A rotation is in progress already: rotating again ends the secret ${t} at once.`,submit:"Rotate",busy:"Rotating…"},suspend:{title:t=>`Suspend “${t}”`,lead:"Every request with this key is refused until you resume it. Nothing is lost.",until:"Until when?",untilResumed:"Until I resume it",hour:"1 hour",day:"1 day",week:"7 days",custom:"Other",customAt:"Until",reason:"Reason",reasonHint:"For the audit trail, in one line.",submit:"Suspend",busy:"Suspending…",resumeTitle:t=>`Resume “${t}”`,resumeLead:"Requests with this key are let in again at once.",resumeSubmit:"Resume",resumeBusy:"Resuming…"},revoke:{title:t=>`Revoke “${t}”`,lead:"The key stops working within 100 ms, for good. It cannot be undone.",recent:"Used in the last 24 hours by",recentNone:"Nobody has used this key in the last 24 hours.",recentUnknown:"Who uses the key could not be loaded, so assume that somebody does.",suspendFirst:"Not sure? Suspend it first: if something breaks, resume it.",suspendInstead:"Suspend instead",typeName:t=>`This key is in use. Type its name, ${t}, to confirm.`,typeMismatch:"This is not the name of the key.",submit:"Revoke for good",busy:"Revoking…"},conflict:{title:"Somebody else has changed this key",by:t=>`${t} changed it while you were editing,`,field:"Field",before:"Before",theirs:"Now",yours:"Yours",unchanged:"not changed",takeTheirs:"Take theirs",saveMine:"Save mine all the same",revoked:"The key was revoked in the meantime and cannot be changed any more."},usage:{range:"Time span",day:"24 hours",week:"7 days",month:"30 days",quarter:"90 days",accepted:"Let in",total:t=>`${t} requests`,refused:t=>`${t} refused`,nothing:"No request in this time.",readout:"Point at a bar, or use the arrow keys, for its numbers.",chart:"Requests over time",table:"Show as a table",columnStart:"From",columnRequests:"Requests",columnRefused:"Refused",reasons:{expired:"Key expired",scope:"Permission missing",revoked:"Revoked, or old secret",suspended:"Key suspended",address:"Address not allowed",rateLimit:"Over the rate limit",quota:"Over the quota"},tenantTitle:"Usage",tenantIntro:"Requests with all keys together.",latest:"Last used keys"},events:{types:{created:"Created",updated:"Changed",rotated:"Rotated",previous_secret_ended:"Old secret ended",suspended:"Suspended",resumed:"Resumed",revoked:"Revoked",secret_reused:"Ended secret used",leaked:"Reported as leaked",decoy_used:"Decoy used",exposed:"Sent over plain HTTP",policy_changed:"Policy changed"},sentence:{created:(t,r)=>`${t} created ${r}`,updated:(t,r)=>`${t} changed ${r}`,rotated:(t,r)=>`${t} rotated ${r}`,previous_secret_ended:(t,r)=>`${t} ended the old secret of ${r}`,suspended:(t,r)=>`${t} suspended ${r}`,resumed:(t,r)=>`${t} resumed ${r}`,revoked:(t,r)=>`${t} revoked ${r}`,secret_reused:(t,r)=>`Somebody used an ended secret of ${r}`,exposed:(t,r)=>`Somebody sent a secret of ${r} over plain HTTP`,decoy_used:(t,r)=>`Somebody used ${r}, which is a decoy`,leaked:(t,r)=>`A secret of ${r} was reported as leaked`,policy_changed:t=>`${t} changed the policy`},thisKey:"the key",somebody:"Somebody",key:t=>`the key “${t}”`,operator:t=>`${t} (operator)`,from:t=>`from ${t}`,foundAt:t=>`Found at ${t}`,leakActions:{revoked:"The key was revoked",suspended:"The key was suspended",secret_ended:"That secret was ended",none:"Nothing was changed"},granted:t=>`Permission: ${t}`,ends:t=>`Ends ${t}`,endsNever:"No end",change:(t,r,e)=>`${t}: ${r} → ${e}`,overlap:(t,r)=>`The old secret ${t} works until ${r}`,overlapNone:t=>`The old secret ${t} ended at once`,newSecret:t=>`New secret ${t}`,secret:t=>`Secret ${t}`,until:t=>`Until ${t}`,reason:t=>`Reason: ${t}`,none:"Nothing yet.",older:"Show older",fields:{name:"Name",scopes:"Permission",expiresAt:"End",description:"Description",allowedAddresses:"Allowed addresses",rateLimit:"Rate limit",quota:"Quota",maxLifetimeDays:"Longest life",maxActiveKeys:"Number of keys",idleSuspendDays:"Idle after",allowedScopes:"Allowed permission",requireAllowedAddresses:"Addresses required",onLeak:"On a leak",defaultRateLimit:"Default rate limit"}},audit:{title:"Audit trail",intro:"Every change, by whom, when and from where. It cannot be changed or deleted.",type:"What happened",typeAny:"Everything",actor:"By",actorPlaceholder:"Part of a name",since:"From",until:"To",key:"Key",onlyThisKey:"Only this key",onlyKey:t=>`Only ${t}`,clear:"Clear filters",exportNdjson:"Export NDJSON",exportCsv:"Export CSV",exporting:t=>`Exporting, ${N(t)} so far…`,exported:t=>`Exported ${N(t)} ${ge(t,"event","events")}.`,none:"No event matches.",scanned:t=>`${N(t)} ${ge(t,"event","events")} searched`},policy:{title:"Policy",intro:"Rules for all keys. They bind what is created, changed and rotated from now on; keys that break a rule go on working, and are listed here.",lifetime:"Longest life of a key",lifetimeHint:"Keys end within so many days, and none is without an end. Empty: no rule.",keys:"Most keys in use",keysHint:"Keys that are neither revoked nor expired. Empty: no rule.",idle:"A key is idle after",idleHint:"Idle keys are listed here. Empty: no rule.",scopes:"Highest permission",scopesAny:"No rule",addresses:"Each key must have allowed addresses",leak:"When a secret is reported as leaked",leakRevoke:"Revoke the key",leakSuspend:"Suspend the key",leakNotify:"Only record it",rate:"Rate limit of keys created without one",rateHint:"Keys that exist stay as they are. Empty: none.",days:"days",unitKeys:"keys",range:t=>`Enter a whole number, 1 to ${t}.`,requests:"requests",save:"Save policy",saving:"Saving…",saved:"The policy is saved and in force.",unchanged:"No changes",checking:"Checking which keys would break it…",wouldBreak:t=>`${N(t)} ${ge(t,"key would","keys would")} break these rules`,wouldBreakNone:"No key would break these rules",breaks:t=>`${N(t)} ${ge(t,"key breaks","keys break")} the policy`,breaksNone:"All keys follow the policy",breaksHint:"They go on working, but cannot be rotated or extended before they follow the rules.",first:t=>`The newest ${N(t)} are shown.`,columnRules:"Breaks",confirmTitle:"Save this policy?",confirmText:"These keys go on working, but cannot be rotated or extended before they follow the rules.",confirm:"Save all the same",readOnly:"Changing the policy needs the admin permission.",rules:{maxLifetimeDays:"ends too late",maxActiveKeys:"too many keys",idleSuspendDays:"idle",allowedScopes:"too much permission",requireAllowedAddresses:"no addresses"}},shell:{product:"API keys",skip:"Skip to content",nav:"Sections",keys:"Keys",usage:"Usage",audit:"Audit trail",policy:"Policy",signedInAs:t=>`Signed in as ${t}`,signOut:"Sign out",signIn:"Sign in",signInTitle:"Sign in to manage API keys",signInText:"You sign in with your CRM account. You come back here afterwards.",pasteTitle:"Open the console with a token",pasteText:"No login is configured for this console, so it needs a token of one of your admins. It is kept in the memory of this page only, and is gone when you close or reload it.",pasteHow:"An operator makes one with",pasteLabel:"Token",pasteHint:"A JWT that begins with eyJ, or the secret of a key with the admin permission.",pasteSubmit:"Open console",pasteEmpty:"Paste a token.",pasteMalformed:"This does not look like a token: it has spaces or line breaks in it.",expiredTitle:"Your session has ended",expiredText:"What you entered is still here. Sign in again to go on.",expiredPaste:"What you entered is still here. Paste a new token to go on.",reader:"You can look at everything, but not change it: that needs the admin permission.",noToken:"This part of the page gets no token from the page around it: set its property getToken, or handle its event token-request."}};var O=class extends Error{constructor(e,s,i,n=null,a=[],d=null,u=null){super(i);this.status=e;this.code=s;this.requestId=n;this.errors=a;this.retryAfter=d;this.rule=u;this.name="ApiError"}get outcomeUnknown(){return["unreachable","no_response","timeout","database_unavailable","internal_error"].includes(this.code)||this.status>=500&&this.code==="unknown"}get isSignInNeeded(){return this.status===401}};function Gt(t,r,e){let s=typeof r=="object"&&r!==null?r:{},i=Number.parseInt(t.headers.get("Retry-After")??"",10);return new O(t.status,s.code??"unknown",s.detail??e,t.headers.get("X-Request-Id")??s.requestId??null,s.errors??[],Number.isFinite(i)?i:null,s.rule??null)}var kt=1e3,Ws=4e4,Le=class{constructor(r,e){this.baseUrl=r;this.getToken=e}me(){return this.#e("get","/api/v1/me",{})}list(r){return xt(this.#t("get","/api/v1/api-keys",{query:r}))}async count(r){return(await this.list({...r,limit:1})).total}key(r){return Zt(this.#t("get","/api/v1/api-keys/{id}",{id:r}))}create(r,e){return this.#e("post","/api/v1/api-keys",{body:r,headers:{"Idempotency-Key":e}})}update(r,e,s){return Zt(this.#t("patch","/api/v1/api-keys/{id}",{id:r,body:e,headers:Xt(s)}))}rotate(r,e,s,i){let n={...Xt(s),"Idempotency-Key":i};return this.#e("post","/api/v1/api-keys/{id}/rotate",{id:r,body:{overlapSeconds:e},headers:n})}endPreviousSecret(r){return this.#e("delete","/api/v1/api-keys/{id}/previous-secret",{id:r})}suspend(r,e,s){return this.#e("post","/api/v1/api-keys/{id}/suspend",{id:r,body:{until:e,reason:s}})}resume(r,e){return this.#e("post","/api/v1/api-keys/{id}/resume",{id:r,body:{reason:e}})}revoke(r){return this.#e("delete","/api/v1/api-keys/{id}",{id:r})}usage(r,e,s){return this.#e("get","/api/v1/api-keys/{id}/usage",{id:r,query:{from:e.toISOString(),interval:s}})}tenantUsage(r,e){return this.#e("get","/api/v1/api-keys/usage",{query:{from:r.toISOString(),interval:e}})}callers(r){return this.#e("get","/api/v1/api-keys/{id}/callers",{id:r})}keyEvents(r,e){return xt(this.#t("get","/api/v1/api-keys/{id}/events",{id:r,query:e}))}events(r){return xt(this.#t("get","/api/v1/api-keys/events",{query:r}))}policy(){return this.#e("get","/api/v1/api-keys/policy",{})}setPolicy(r,e){return this.#e("put","/api/v1/api-keys/policy",{query:{dryRun:e},body:r})}async#e(r,e,s){return(await this.#t(r,e,s)).value}async#t(r,e,s){let i=new URL(e.replace("{id}",encodeURIComponent(s.id??"")),this.baseUrl);for(let[y,v]of Object.entries(s.query??{}))i.searchParams.set(y,String(v));let n={...s.headers};s.body!==void 0&&(n["Content-Type"]="application/json");let a=s.body===void 0?null:JSON.stringify(s.body),d=await this.#r(i,{method:r.toUpperCase(),headers:n,body:a}),u=await d.text().catch(()=>{throw new O(0,"unreachable",l.errors.unreachable)}),g=Ys(u);if(!d.ok)throw Gt(d,g,l.errors.status(d.status));return{value:g,headers:d.headers}}async#r(r,e){let s=await this.#s(),i=await this.#n(r,e,s);if(i.status!==401)return i;let n=await this.#s();return n===s?i:this.#n(r,e,n)}async#s(){try{return await this.getToken()}catch{throw new O(401,"signed_out",l.errors.signedOut)}}async#n(r,e,s){let i={...e.headers,Authorization:`Bearer ${s}`},n=AbortSignal.timeout(Ws);try{return await fetch(r,{...e,headers:i,signal:n,credentials:"omit",cache:"no-store",referrerPolicy:"no-referrer"})}catch{throw n.aborted?new O(0,"no_response",l.errors.noResponse):navigator.onLine?new O(0,"unreachable",l.errors.unreachable):new O(0,"offline",l.errors.offline)}}},Xt=t=>t===null?{}:{"If-Match":t};function Ys(t){try{return JSON.parse(t)}catch{return null}}async function Zt(t){let{value:r,headers:e}=await t;return{value:r,etag:e.get("ETag")}}async function xt(t){let{value:r,headers:e}=await t,s=e.get("X-Total-Count");return{items:r,next:Vs(e.get("Link")),total:s===null?null:Number(s)}}function Vs(t){let r=t?.match(/<([^>]*)>\s*;[^,]*rel="?next"?/)?.[1];return r===void 0?null:new URL(r,location.href).searchParams.get("cursor")}var A=class extends j{createRenderRoot(){return this}find(r){return this.renderRoot.querySelector(r)}emit(r,e,s=!1){this.dispatchEvent(new CustomEvent(r,{detail:e,bubbles:!0,composed:s}))}},Qs=2500,L=class{constructor(r){this.host=r;this.error=null;this.busy=!1;this.slow=!1;this.#e=0;r.addController(this)}#e;hostConnected(){}hostDisconnected(){this.#e++,this.busy=!1}async run(r){let e=++this.#e;this.busy=!0,this.slow=!1,this.host.requestUpdate();let s=setTimeout(()=>{e===this.#e&&(this.slow=!0,this.host.requestUpdate())},Qs);try{let i=await r();return e!==this.#e?!1:(this.value=i,this.error=null,!0)}catch(i){return e===this.#e&&(this.error=J(i)),!1}finally{clearTimeout(s),e===this.#e&&(this.busy=!1,this.slow=!1,this.host.requestUpdate())}}reset(){this.#e++,this.value=void 0,this.error=null,this.busy=!1,this.slow=!1,this.host.requestUpdate()}};function J(t){return t instanceof O?t:(console.error(t),new O(0,"page_error",t instanceof Error?t.message:l.errors.unreachable))}var be=class{constructor(r){this.host=r;r.addController(this)}#e;hostConnected(){this.#e=setInterval(()=>this.host.requestUpdate(),3e4)}hostDisconnected(){clearInterval(this.#e)}},Js=0,E=()=>`rally-${++Js}`;function $(t,r){customElements.get(t)===void 0&&customElements.define(t,r)}var Gs=1e3,ve=class{#e="";#t="";for(r){let e=JSON.stringify(r);return e!==this.#e&&(this.#e=e,this.#t=crypto.randomUUID()),this.#t}};async function Ge(t){try{return await t()}catch(r){if(!J(r).outcomeUnknown)throw r;return await new Promise(e=>setTimeout(e,Gs)),t()}}var Xs={close:"M4 4l8 8M12 4l-8 8",plus:"M8 3v10M3 8h10",search:"M7 11.5a4.5 4.5 0 1 0 0-9 4.5 4.5 0 0 0 0 9zM10.5 10.5L14 14",copy:"M5.5 5.5v-3h8v8h-3M2.5 5.5h8v8h-8z",check:"M3 8.5l3.5 3.5L13 4.5",back:"M10 3L5 8l5 5",forward:"M6 3l5 5-5 5",warning:"M8 2L1.5 13.5h13zM8 6.5v3.5M8 11.8v.2",info:"M8 14.5a6.5 6.5 0 1 0 0-13 6.5 6.5 0 0 0 0 13zM8 7.3v4M8 4.8v.2",offline:"M2 2l12 12M4.7 9.2A5 5 0 0 1 8 8m3.3 1.2a5 5 0 0 0-.8-.6M2.2 6.6A8.5 8.5 0 0 1 5 4.9M13.800 6.600A8.500 8.500 0 0 0 7.500 4.200M8 12.500v.200",key:"M10.500 9a3.800 3.800 0 1 0-3.600-2.600L2 11.300V14h2.700v-1.600h1.600v-1.600h1.600l.900-.900c.500.100 1.100.100 1.700.100zM11.300 4.700v.100",rotate:"M13.500 3v3.500H10M2.500 13V9.500H6M3.300 6.200a5 5 0 0 1 9-1.200l1.200 1.500M12.700 9.800a5 5 0 0 1-9 1.200L2.500 9.500",pause:"M5.500 3.500v9M10.500 3.500v9",play:"M5 3l8 5-8 5z",edit:"M3 13l.700-3L10.800 2.900l2.300 2.300L6 12.300z",trash:"M3 4.500h10M6.500 4.500v-2h3v2M4.500 4.500l.600 9h5.800l.600-9",download:"M8 2.500v8M4.500 7.500L8 11l3.500-3.500M3 13.500h10"},f=t=>o`<svg class="icon" viewBox="0 0 16 16" width="16" height="16" aria-hidden="true" focusable="false">
${ce`<path d=${Xs[t]} fill="none" stroke="currentColor" stroke-width="1.5" stroke-linecap="round" stroke-linejoin="round"/>`}
</svg>`;var T=class extends A{constructor(){super(...arguments);this.busy=!1;this.error=null;this.#e=E();this.#t=async e=>{if(e.target===this.dialog){if(!this.mayClose()){this.dialog?.showModal();return}this.dispatchEvent(new CustomEvent("closed"))}}}#e;get dialog(){return this.find("dialog")}firstUpdated(){this.dialog?.showModal(),setTimeout(()=>this.find("[data-focus]")?.focus())}close(){this.dialog?.close()}mayClose(){return!this.busy}frame(e,s,i,n={}){let{wide:a=!1,closable:d=!0}=n;return o`<dialog
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
<div class="dialog-body">${s}</div>
${i===c?c:o`<div class="dialog-foot">${i}</div>`}
</dialog>`}async attempt(e){if(!this.busy){this.busy=!0,this.error=null;try{await e()}catch(s){this.error=J(s)}finally{this.busy=!1}await this.updateComplete,this.error!==null&&(this.find('[aria-invalid="true"]')??this.find(".problem"))?.focus()}}#t};p([h({attribute:!1})],T.prototype,"api",2),p([m()],T.prototype,"busy",2),p([m()],T.prototype,"error",2);var w=l.errors,Zs={offline:w.offlineTitle,unreachable:w.unreachableTitle,no_response:w.unreachableTitle,key_not_found:w.notFoundTitle,tenant_not_found:w.tenantTitle,key_revoked:w.revokedTitle,key_expired:w.expiredTitle},er={400:w.inputTitle,401:w.sessionTitle,403:w.forbiddenTitle,404:w.notFoundTitle,409:w.conflictTitle,412:w.conflictTitle,422:w.policyTitle,429:w.limitTitle,503:w.unavailableTitle},pe=class extends A{constructor(){super(...arguments);this.error=null;this.retry=!1;this.auto=!1;this.remaining=0;this.#t=0;this.#n=()=>{this.auto&&this.error?.status===0&&this.#i()};this.#i=()=>{clearInterval(this.#e),this.remaining=0,this.dispatchEvent(new CustomEvent("retry"))}}#e;#t;connectedCallback(){super.connectedCallback(),addEventListener("online",this.#n)}disconnectedCallback(){super.disconnectedCallback(),removeEventListener("online",this.#n),clearInterval(this.#e)}willUpdate(e){e.has("error")&&this.#s()}render(){let{error:e}=this;if(e===null)return c;let s=Zs[e.code]??er[e.status]??w.otherTitle,i=e.status===0,n=i||e.status===429||e.status===503?"warn":"bad",a=i?"offline":"warning";return o`<div class="problem ${n}" role="alert" tabindex="-1" part="error" data-code=${e.code}>
${f(a)}
<div class="problem-text">
<p class="problem-title">${s}</p>
<p>${e.message}</p>
${e.errors.length>0?o`<ul class="problem-fields">
${e.errors.map(({field:d,message:u})=>o`<li><code>${d}</code> ${u}</li>`)}
</ul>`:c}
${this.auto&&e.code==="offline"?o`<p>${w.retriesOnline}</p>`:c}
${e.requestId===null?c:o`<p class="request-id">${l.common.requestId} <code>${e.requestId}</code></p>`}
${this.#r(e)}
</div>
</div>`}#r(e){if(e.isSignInNeeded)return o`<button type="button" class="button" @click=${()=>this.emit("sign-in-required",void 0,!0)}>${w.signIn}</button>`;if(!this.retry||[400,403,404,409,412,422].includes(e.status))return c;let s=this.remaining>0,i=s?this.auto?w.retriesIn(this.remaining):w.retryIn(this.remaining):l.common.retry;return o`<button type="button" class="button" ?disabled=${s&&!this.auto} @click=${this.#i}>${i}</button>`}#s(){clearInterval(this.#e);let e=this.error?.retryAfter??0;this.remaining=e===0||!this.auto?e:Math.max(e,Math.min(30,2**this.#t++)),this.remaining!==0&&(this.#e=setInterval(()=>{this.remaining-=1,!(this.remaining>0)&&(clearInterval(this.#e),this.auto&&this.#i())},1e3))}#n;#i};p([h({attribute:!1})],pe.prototype,"error",2),p([h({type:Boolean})],pe.prototype,"retry",2),p([h({type:Boolean})],pe.prototype,"auto",2),p([m()],pe.prototype,"remaining",2);$("rally-error-box",pe);var k=(t,r,e=r!==void 0)=>t===null?c:o`<rally-error-box .error=${t} ?retry=${r!==void 0} ?auto=${e} @retry=${r}></rally-error-box>`;var D=navigator.languages.find(t=>t.split("-")[0]===l.language)??l.language,tr=new Intl.DateTimeFormat(D,{dateStyle:"medium"}),sr=new Intl.DateTimeFormat(D,{dateStyle:"medium",timeStyle:"short"}),rr=new Intl.DateTimeFormat(D,{dateStyle:"full",timeStyle:"long"}),ir=new Intl.DateTimeFormat(D,{weekday:"short",day:"numeric",month:"short",hour:"numeric",minute:"2-digit"}),nr=new Intl.DateTimeFormat(D,{weekday:"short",day:"numeric",month:"short",timeZone:"UTC"}),or=new Intl.DateTimeFormat(D,{day:"numeric",month:"short",timeZone:"UTC"}),ar=new Intl.DateTimeFormat(D,{hour:"numeric",minute:"2-digit"}),lr=new Intl.NumberFormat(D),dr=new Intl.NumberFormat(D,{notation:"compact",maximumFractionDigits:1}),es=new Intl.RelativeTimeFormat(D,{numeric:"auto"}),Ji=new Intl.ListFormat(D,{type:"conjunction"}),x=864e5,cr=[["day",x,1.5*x],["hour",36e5,33e5]],wt=t=>tr.format(new Date(t)),U=t=>sr.format(new Date(t)),se=t=>rr.format(new Date(t)),At=t=>ir.format(new Date(t)),ts=t=>nr.format(new Date(t)),ss=t=>or.format(new Date(t)),rs=t=>ar.format(new Date(t)),b=t=>lr.format(t),Xe=t=>dr.format(t);function ue(t,r=Date.now()){let e=new Date(t).getTime()-r,s=Math.abs(e);if(s<45e3)return e<=0?l.time.justNow:l.time.inAMoment;for(let[i,n,a]of cr)if(s>=a)return es.format(Math.round(e/n),i);return es.format(Math.round(e/6e4),"minute")}function M(t,r=c){if(t===null)return r;let e=Math.abs(new Date(t).getTime()-Date.now())<30*x;return o`<time datetime=${t} title=${se(t)}>${e?ue(t):wt(t)}</time>`}function $e(t){return o`<time datetime=${t} title=${se(t)}>${U(t)}</time>`}function is(t){let[r,e]=[["day",86400],["hour",3600],["minute",60],["second",1]].find(([,s])=>t%s===0)??["second",1];return new Intl.NumberFormat(D,{style:"unit",unit:r,unitDisplay:"long"}).format(t/e)}function F(t){return new Date(t.getTime()-t.getTimezoneOffset()*6e4).toISOString().slice(0,16)}function C(t){let r=t.split(",").map(e=>e.trim());return r.includes("admin")?"admin":r.includes("write")?"write":"read"}var St={read:"read",write:"read,write",admin:"read,write,admin"},re=["read","write","admin"],ns=t=>{let r=C(t);return o`<span class="scope ${r}" title=${t}>${l.scopes[r]}</span>`};function Ze(t){let r=t.status==="suspended"&&t.suspendedUntil?l.status.suspendedUntil(se(t.suspendedUntil)):"";return o`<span class="badge ${t.status}" part="status" title=${r}>${l.status[t.status]}</span>`}function et(t,r=Date.now()){if(t.status==="revoked"||t.status==="expired")return[];let e=[];return t.rotation!==null&&e.push("oldSecret"),t.expiresAt!==null&&Date.parse(t.expiresAt)-r<30*x&&e.push("expiring"),r-Date.parse(t.lastUsedAt??t.createdAt)>90*x&&e.push("idle"),t.lastUsedAt===null&&e.push("neverUsed"),e}function os(t,r){let e=l.list;if(t==="oldSecret"){let i=r.rotation?.previousLastUsedAt??null,n=i!==null&&Date.now()-Date.parse(i)<x,a=i===null?l.rotation.unused:l.rotation.used(ue(i));return o`<span class="mark" title=${a}>${n?e.markOldSecretUsed:e.markOldSecret}</span>`}let s={neverUsed:e.markNeverUsed,idle:e.markIdle,expiring:e.markExpiring}[t];return o`<span class=${t==="neverUsed"?"mark quiet":"mark"}>${s}</span>`}var as={1:l.form.second,60:l.form.minute,3600:l.form.hour,86400:l.form.day},ls=Object.keys(as).map(Number),tt=t=>as[t]??is(t),xe=t=>t===null?l.key.noLimit:l.key.rate(b(t.requests),tt(t.windowSeconds)),he=t=>t===null?l.key.noLimit:t.per==="day"?l.key.quotaPerDay(b(t.requests)):l.key.quotaPerMonth(b(t.requests));function G(t,r=()=>{}){if(t===null)return l.events.somebody;if(t.startsWith("operator:"))return l.events.operator(t.slice(9));if(t.startsWith("api-key:")){let e=r(t.slice(8));return e===void 0?t:l.events.key(e)}return t}var Ue=t=>({name:"",description:"",preset:t?.maxLifetimeDays!=null&&t.maxLifetimeDays<90?t.maxLifetimeDays<30?"custom":"30":"90",customAt:t?.maxLifetimeDays!=null?F(new Date(Date.now()+t.maxLifetimeDays*x-6e5)):"",level:"read",addresses:"",rateRequests:"",rateWindow:60,quotaRequests:"",quotaPer:"day"}),Et=t=>({name:t.name,description:t.description??"",preset:t.expiresAt===null?"never":"keep",customAt:t.expiresAt===null?"":F(new Date(t.expiresAt)),level:C(t.scopes),addresses:t.allowedAddresses.join(`
`),rateRequests:t.rateLimit===null?"":String(t.rateLimit.requests),rateWindow:t.rateLimit?.windowSeconds??60,quotaRequests:t.quota===null?"":String(t.quota.requests),quotaPer:t.quota?.per??"day"});function Ie(t,r){if(t.preset==="never")return"never";if(t.preset==="custom"||t.preset==="keep"){let e=new Date(t.customAt);return Number.isNaN(e.getTime())?null:e}return new Date(r+Number(t.preset)*x)}function nt(t,r){let e={};if(t.name.trim()===""&&(e.name=[l.form.nameRequired]),t.preset==="custom"){let s=Ie(t,r);(s===null||s!=="never"&&s.getTime()<=Date.now())&&(e.expiresAt=[l.form.customRequired])}return ds(t.rateRequests)||(e.rateLimit=[l.form.numberRequired]),ds(t.quotaRequests)||(e.quota=[l.form.numberRequired]),e}var ds=t=>t.trim()===""||/^[1-9]\d{0,12}$/.test(t.trim()),pr={maxLifetimeDays:"expiresAt",allowedScopes:"scopes",requireAllowedAddresses:"allowedAddresses"};function ot(t,r){let e={},s=(n,a)=>{(e[n]??=[]).push(a)};if(t.rule!==null){let n=pr[t.rule];return n===void 0?null:(s(n,t.message),e)}let i=it(r.addresses);for(let{field:n,message:a}of t.errors){let[,d="",u]=/^(\w+)(?:\[(\d+)\])?/.exec(n)??[];if(!["name","description","expiresAt","scopes","allowedAddresses","rateLimit","quota"].includes(d))return null;let g=Number(u),y=u===void 0?"":`${l.form.addressLine(g+1,i[g]??"")}: `;s(d,y===""?ur(a):y+a)}return t.errors.length>0?e:null}var ur=t=>`${t.charAt(0).toUpperCase()}${t.slice(1)}.`,it=t=>t.split(/[\n,]/).map(r=>r.trim()).filter(r=>r!==""),st=t=>t.rateRequests.trim()===""?null:{requests:Number(t.rateRequests),windowSeconds:t.rateWindow},rt=t=>t.quotaRequests.trim()===""?null:{requests:Number(t.quotaRequests),per:t.quotaPer};function cs(t,r){let e=Ie(t,r),s={name:t.name.trim(),scopes:St[t.level],expiresAt:e==="never"||e===null?null:us(e)};t.description.trim()!==""&&(s.description=t.description);let i=it(t.addresses);i.length>0&&(s.allowedAddresses=i);let n=st(t);n!==null&&(s.rateLimit=n);let a=rt(t);return a!==null&&(s.quota=a),s}function ps(t,r,e){let s=Et(r),i={};if(t.name.trim()!==r.name&&(i.name=t.name.trim()),t.description.trim()!==s.description&&(i.description=t.description.trim()===""?null:t.description),t.level!==s.level&&(i.scopes=St[t.level]),!(t.preset==="keep"||t.preset==="never"&&r.expiresAt===null)){let a=Ie(t,e);i.expiresAt=a==="never"||a===null?null:us(a)}return it(t.addresses).join()!==r.allowedAddresses.join()&&(i.allowedAddresses=it(t.addresses)),JSON.stringify(st(t))!==JSON.stringify(st(s))&&(i.rateLimit=st(t)),JSON.stringify(rt(t))!==JSON.stringify(rt(s))&&(i.quota=rt(t)),i}var us=t=>t.toISOString().replace(/\.\d+Z$/,"Z");function hs(t,r,e){let s=re.indexOf(t);return s>re.indexOf(C(e))?l.scopes.notGranted:r?.allowedScopes!=null&&s>re.indexOf(C(r.allowedScopes))?l.scopes.notAllowed:null}function ms(t,r){let e=r?.maxLifetimeDays??null;return e===null||t==="custom"||t==="keep"?!0:t!=="never"&&Number(t)<=e}var H=class extends A{constructor(){super(...arguments);this.initial=Ue(null);this.draft=this.initial;this.errors={};this.policy=null;this.granted="admin";this.currentEnd=null;this.isNew=!1;this.now=Date.now();this.limitsOpen=!1;this.#e=E()}#e;willUpdate(e){e.has("initial")&&(this.draft=this.initial);let{draft:s,errors:i,policy:n}=this,a=s.addresses!==""||s.rateRequests!==""||s.quotaRequests!=="",d=i.allowedAddresses!==void 0||i.rateLimit!==void 0||i.quota!==void 0;(e.has("initial")&&a||e.has("errors")&&d)&&(this.limitsOpen=!0),e.has("policy")&&n?.requireAllowedAddresses===!0&&(this.limitsOpen=!0)}#t(e){this.draft={...this.draft,...e}}render(){let e=l.form,{draft:s}=this;return o`
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
.value=${s.name}
@input=${d=>this.#t({name:ie(d)})}
/>`)}
${this.#s("description",e.description,e.descriptionHint,(i,n,a)=>o`<textarea
id=${i}
rows="2"
maxlength="500"
aria-describedby=${n}
aria-invalid=${a}
.value=${s.description}
@input=${d=>this.#t({description:ie(d)})}
></textarea>`,!0)}
${this.#i()} ${this.#a()} ${this.#l()}
`}#r(){let e=l.form,{policy:s}=this;if(s===null)return c;let i=[s.maxLifetimeDays==null?"":e.policyLifetime(s.maxLifetimeDays),s.requireAllowedAddresses===!0?e.policyAddresses:"",s.maxActiveKeys==null||!this.isNew?"":e.policyKeys(s.activeKeys,s.maxActiveKeys),s.defaultRateLimit==null||!this.isNew?"":e.policyRate(b(s.defaultRateLimit.requests),tt(s.defaultRateLimit.windowSeconds))].filter(n=>n!=="");return i.length===0?c:o`<p class="note">${f("info")}<span><b>${e.policy}:</b> ${i.join("; ")}.</span></p>`}#s(e,s,i,n,a=!1){let d=`${this.#e}-${e}`,u=this.errors[e]===void 0?"false":"true";return o`<div class="field">
<label for=${d}>${s} ${a?o`<span class="optional">${l.common.optional}</span>`:c}</label>
${n(d,`${d}-hint ${d}-error`,u)}
<p class="hint-text" id="${d}-hint">${i}</p>
${this.#n(e)}
</div>`}#n(e){let s=this.errors[e]??[];return o`<div id="${this.#e}-${e}-error">
${s.map(i=>o`<p class="field-error">${f("warning")}<span>${i}</span></p>`)}
</div>`}#i(){let e=l.scopes,s={read:e.readHint,write:e.writeHint,admin:e.adminHint};return o`<fieldset class="field" aria-describedby="${this.#e}-scopes-error">
<legend>${e.legend}</legend>
<div class="choices">
${re.map(i=>{let n=hs(i,this.policy,this.granted),a=this.draft.level===i;return o`<label class=${n!==null&&!a?"choice off":"choice"}>
<input
type="radio"
name="${this.#e}-scope"
value=${i}
.checked=${a}
?disabled=${n!==null&&!a}
aria-invalid=${this.errors.scopes!==void 0&&a?"true":"false"}
@change=${()=>this.#t({level:i})}
/>
<span><b>${e[i]}</b><span class="choice-hint">${n!==null&&!a?n:s[i]}</span></span>
</label>`})}
</div>
${this.#n("scopes")}
</fieldset>`}#a(){let e=l.form,{draft:s}=this,i=[...this.isNew||this.currentEnd===null?[]:[["keep",e.keep]],["30",e.days30],["90",e.days90],["365",e.days365],["custom",e.custom],["never",e.never]];return o`<fieldset class="field" aria-describedby="${this.#e}-expiry-note ${this.#e}-expiresAt-error">
<legend>${e.expiry}</legend>
<div class="segments">
${i.map(([n,a])=>{let d=s.preset===n,u=ms(n,this.policy)||d;return o`<label class=${u?"segment":"segment off"} title=${u?"":e.policyLonger}>
<input
type="radio"
name="${this.#e}-expiry"
value=${n}
.checked=${d}
?disabled=${!u}
@change=${()=>this.#t({preset:n,customAt:s.customAt||F(new Date(this.now+90*x))})}
/>
<span>${a}</span>
</label>`})}
</div>
${s.preset==="custom"?this.#o():c}
<p id="${this.#e}-expiry-note" class=${s.preset==="never"?"note warn":"hint-text"} aria-live="polite">${this.#u()}</p>
${this.#n("expiresAt")}
</fieldset>`}#o(){let e=this.policy?.maxLifetimeDays??null,s=`${this.#e}-custom`;return o`<div class="inline-field">
<label for=${s}>${l.form.customAt}</label>
<input
id=${s}
type="datetime-local"
required
min=${F(new Date)}
max=${e===null?c:F(new Date(this.now+e*x))}
aria-describedby="${this.#e}-expiresAt-error"
aria-invalid=${this.errors.expiresAt===void 0?"false":"true"}
.value=${this.draft.customAt}
@input=${i=>this.#t({customAt:ie(i)})}
/>
</div>`}#u(){let{draft:e}=this;if(e.preset==="never")return o`${f("warning")}<span>${l.form.neverWarning}</span>`;let s=e.preset==="keep"&&this.currentEnd!==null?new Date(this.currentEnd):Ie(e,this.now);return s===null||s==="never"?c:o`<span title=${se(s)}>${l.form.endsAt(U(s))}</span>`}#l(){let e=l.form,{draft:s}=this;return o`<details class="more" .open=${this.limitsOpen} @toggle=${i=>this.limitsOpen=i.target.open}>
<summary><b>${e.limits}</b> <span class="muted">${e.limitsHint}</span></summary>
${this.#s("allowedAddresses",e.addresses,e.addressesHint,(i,n,a)=>o`<textarea
id=${i}
rows="3"
class="code"
spellcheck="false"
autocomplete="off"
aria-describedby=${n}
aria-invalid=${a}
.value=${s.addresses}
@input=${d=>this.#t({addresses:ie(d)})}
></textarea>`,this.policy?.requireAllowedAddresses!==!0)}
${this.#s("rateLimit",e.rate,e.rateHint,(i,n,a)=>o`<div class="pair">
<input id=${i} type="text" inputmode="numeric" class="number" autocomplete="off" placeholder=${e.rateRequests} aria-describedby=${n} aria-invalid=${a} .value=${s.rateRequests} @input=${d=>this.#t({rateRequests:ie(d)})} />
<label for="${i}-window">${e.rateWindow}</label>
<select id="${i}-window" @change=${d=>this.#t({rateWindow:Number(ie(d))})}>
${[...new Set([...ls,s.rateWindow])].map(d=>o`<option value=${d} ?selected=${d===s.rateWindow}>${tt(d)}</option>`)}
</select>
</div>`,!0)}
${this.#s("quota",e.quota,e.quotaHint,(i,n,a)=>o`<div class="pair">
<input id=${i} type="text" inputmode="numeric" class="number" autocomplete="off" placeholder=${e.rateRequests} aria-describedby=${n} aria-invalid=${a} .value=${s.quotaRequests} @input=${d=>this.#t({quotaRequests:ie(d)})} />
<label for="${i}-per">${e.quotaPer}</label>
<select id="${i}-per" @change=${d=>this.#t({quotaPer:ie(d)})}>
${["day","month"].map(d=>o`<option value=${d} ?selected=${d===s.quotaPer}>${e[d]}</option>`)}
</select>
</div>`,!0)}
</details>`}};p([h({attribute:!1})],H.prototype,"initial",2),p([m()],H.prototype,"draft",2),p([h({attribute:!1})],H.prototype,"errors",2),p([h({attribute:!1})],H.prototype,"policy",2),p([h()],H.prototype,"granted",2),p([h({attribute:!1})],H.prototype,"currentEnd",2),p([h({type:Boolean})],H.prototype,"isNew",2),p([h({type:Number})],H.prototype,"now",2),p([m()],H.prototype,"limitsOpen",2);$("rally-key-form",H);var ie=t=>t.target.value;var ne=class extends A{constructor(){super(...arguments);this.text="";this.label=l.common.copy;this.primary=!1;this.compact=!1;this.outcome="none";this.#e=async()=>{try{await navigator.clipboard.writeText(this.text),this.outcome="copied",this.dispatchEvent(new CustomEvent("copied",{bubbles:!0}))}catch{this.outcome="failed"}setTimeout(()=>this.outcome="none",3e3)}}render(){let e={none:"",copied:l.common.copied,failed:l.common.copyFailed}[this.outcome],s=this.compact?"icon-button":this.primary?"button primary":"button";return o`<button type="button" class=${s} aria-label=${this.compact?this.label:c} @click=${this.#e}>
${f(this.outcome==="copied"?"check":"copy")} ${this.compact?"":e||this.label}
</button>
<span class="visually-hidden" role="status">${e}</span>`}#e};p([h({attribute:!1})],ne.prototype,"text",2),p([h()],ne.prototype,"label",2),p([h({type:Boolean})],ne.prototype,"primary",2),p([h({type:Boolean})],ne.prototype,"compact",2),p([m()],ne.prototype,"outcome",2);$("rally-copy-button",ne);var Ne=["shell","python","node"],me=class extends A{constructor(){super(...arguments);this.baseUrl="";this.nudge=!1;this.language="shell";this.#e=E();this.#t=e=>{let s={ArrowRight:1,ArrowLeft:-1}[e.key];if(s===void 0)return;let i=Ne[(Ne.indexOf(this.language)+s+Ne.length)%Ne.length];i!==void 0&&(this.language=i,this.find(`#${this.#e}-${i}`)?.focus())}}#e;connectedCallback(){super.connectedCallback(),addEventListener("beforeunload",fs)}disconnectedCallback(){super.disconnectedCallback(),removeEventListener("beforeunload",fs)}render(){let e=l.secret,{created:s}=this,i=hr(this.baseUrl)[this.language];return o`
<p>${e.lead(s.name)}</p>
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
.value=${s.key}
@focus=${n=>n.target.select()}
/>
<rally-copy-button primary .text=${s.key} label=${e.copy}></rally-copy-button>
</div>
<section aria-labelledby="${this.#e}-try">
<h3 id="${this.#e}-try" class="section-title">${e.snippets}</h3>
<div class="tabs" role="tablist" aria-labelledby="${this.#e}-try" @keydown=${this.#t}>
${Ne.map(n=>o`<button
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
<p class="hint-text">${e.snippetHint}</p>
</section>
${this.nudge?o`<p class="note warn" role="alert">${f("warning")}<span>${e.notStored}</span></p>`:c}
`}#t};p([h({attribute:!1})],me.prototype,"created",2),p([h()],me.prototype,"baseUrl",2),p([h({type:Boolean})],me.prototype,"nudge",2),p([m()],me.prototype,"language",2);$("rally-secret-panel",me);var fs=t=>t.preventDefault();function hr(t){let r=`${t}/api/v1/api-keys/self`;return{shell:`curl ${r} \\
  -H "X-Api-Key: $RALLY_API_KEY"`,python:`import os, requests

response = requests.get(
    "${r}",
    headers={"X-Api-Key": os.environ["RALLY_API_KEY"]},
    timeout=30,
)
response.raise_for_status()
print(response.json()["name"])`,node:`const response = await fetch("${r}", {
  headers: { "X-Api-Key": process.env.RALLY_API_KEY },
});
if (!response.ok) throw new Error(await response.text());
console.log((await response.json()).name);`}}var X=class extends T{constructor(){super(...arguments);this.granted="admin";this.policy=null;this.errors={};this.created=null;this.stored=!1;this.nudge=!1;this.#e=Ue(null);this.#t=Date.now();this.#r=new ve;this.#i=async e=>{e?.preventDefault();let s=this.form?.draft;if(s!==void 0){if(this.errors=nt(s,this.#t),Object.keys(this.errors).length>0){await this.#o();return}await this.attempt(()=>this.#a(s)),await this.#o()}}}#e;#t;#r;connectedCallback(){super.connectedCallback(),this.#s()}async#s(){try{this.policy=await this.api.policy()}catch{return}JSON.stringify(this.form?.draft)===JSON.stringify(this.#e)&&(this.#e=Ue(this.policy))}get form(){return this.find("rally-key-form")}mayClose(){return this.created===null?super.mayClose():(this.stored||(this.nudge=!0),this.stored)}render(){if(this.created!==null)return this.#n(this.created);let e=l.form;return this.frame(e.createTitle,o`<form id="create-form" novalidate @submit=${this.#i}>
${this.error===null||Object.keys(this.errors).length>0?c:k(this.error,this.#i,!1)}
<rally-key-form isNew .initial=${this.#e} .errors=${this.errors} .policy=${this.policy} granted=${this.granted} .now=${this.#t}></rally-key-form>
</form>`,o`<button type="button" class="button" ?disabled=${this.busy} @click=${()=>this.close()}>${l.common.cancel}</button>
<button type="submit" form="create-form" class="button primary" ?disabled=${this.busy}>
${this.busy?e.creating:e.create}
</button>`,{wide:!0})}#n(e){let s=l.secret;return this.frame(s.createdTitle,o`<rally-secret-panel .created=${e} baseUrl=${this.api.baseUrl} ?nudge=${this.nudge&&!this.stored}></rally-secret-panel>`,o`<label class="confirm">
<input type="checkbox" .checked=${this.stored} @change=${i=>this.stored=i.target.checked} />
<span>${s.stored}</span>
</label>
<button type="button" class="button primary" ?disabled=${!this.stored} @click=${()=>this.close()}>${s.done}</button>`,{wide:!0,closable:!1})}#i;async#a(e){let s=cs(e,this.#t);try{this.created=await Ge(()=>this.api.create(s,this.#r.for(s)))}catch(i){let n=J(i);throw this.errors=ot(n,e)??{},n}this.emit("key-created",this.created.id),await this.updateComplete,this.find("[data-secret]")?.focus()}async#o(){await this.updateComplete,await this.form?.updateComplete,this.find('[aria-invalid="true"]')?.focus()}};p([h()],X.prototype,"granted",2),p([m()],X.prototype,"policy",2),p([m()],X.prototype,"errors",2),p([m()],X.prototype,"created",2),p([m()],X.prototype,"stored",2),p([m()],X.prototype,"nudge",2);$("rally-create-dialog",X);var at=120,Oe=28;function ys(t){let r=t.reduce((a,d)=>a+d,0),e=l.list.usage(b(r)),s=Math.max(1,...t),i=at/t.length,n=t.map((a,d)=>{if(a===0)return"";let u=Math.max(2,Math.round(a/s*Oe));return`M${(d*i).toFixed(1)} ${Oe-u}h${(i-1).toFixed(1)}v${u}h-${(i-1).toFixed(1)}z`});return o`<span class="spark" title=${e}>
<svg class="spark-chart" role="img" aria-label=${e} viewBox="0 0 ${at} ${Oe}" width=${at} height=${Oe}>
${ce`<path class="spark-base" d="M0 ${Oe-.5}H${at}"/><path class="spark-bars" d=${n.join("")}/>`}
</svg>
<span class="spark-total" aria-hidden="true">${Xe(r)}</span>
</span>`}var De=720,ke=160,Tt=["expired","scope","revoked","suspended","address","rateLimit","quota"],we=class extends A{constructor(){super(...arguments);this.buckets=[];this.interval="day";this.selected=null;this.#i=e=>{let s=e.currentTarget.getBoundingClientRect(),i=Math.floor((e.clientX-s.left)/s.width*this.buckets.length);this.selected=Math.max(0,Math.min(this.buckets.length-1,i))};this.#a=e=>{let s=this.buckets.length-1,i=this.selected??s+1,a={ArrowLeft:Math.max(0,i-1),ArrowRight:Math.min(s,i+1),Home:0,End:s,Escape:null}[e.key];a===void 0||e.key==="Escape"&&this.selected===null||(e.preventDefault(),this.selected=a)}}willUpdate(e){e.has("buckets")&&(this.selected=null)}render(){let{buckets:e}=this,s=_t(e.map(d=>d.requests)),i=_t(e.map(d=>d.denied)),n=Tt.filter(d=>e.some(u=>u.deniedByReason[d]>0)),a=mr(Math.max(1,...e.map(d=>d.requests)));return o`
<div class="chart-numbers">
<span><span class="big">${b(s-i)}</span> ${l.usage.accepted.toLowerCase()}</span>
<span class=${i>0?"refused":"muted"}><span class="big">${b(i)}</span> ${l.usage.refused("").trim()}</span>
</div>
<div class="chart-frame">
<div class="chart-scale" aria-hidden="true"><span>${Xe(a)}</span><span>${a>1?Xe(a/2):""}</span><span>0</span></div>
<svg
class="chart"
part="chart"
role="img"
tabindex="0"
aria-label="${l.usage.chart}: ${l.usage.total(b(s))}, ${l.usage.refused(b(i))}. ${l.usage.readout}"
viewBox="0 0 ${De} ${ke}"
preserveAspectRatio="none"
@keydown=${this.#a}
@pointermove=${this.#i}
@pointerleave=${()=>this.selected=null}
>
${ce`<path class="chart-grid" d="M0 .5H${De}M0 ${ke/2}H${De}M0 ${ke-.5}H${De}"/>`}
${e.map((d,u)=>this.#e(d,u,a))}
</svg>
<div class="chart-axis" aria-hidden="true">${this.#t()}</div>
</div>
<p class="chart-readout" aria-live="polite">${this.#s(s)}</p>
<ul class="legend">
<li><span class="swatch accepted"></span>${l.usage.accepted}</li>
${n.map(d=>{let u=_t(e.map(g=>g.deniedByReason[d]));return o`<li><span class="swatch ${d}"></span>${l.usage.reasons[d]} <b>${b(u)}</b></li>`})}
</ul>
${s===0?c:this.#n(n)}
`}#e(e,s,i){let n=De/this.buckets.length,a=Math.min(2,n*.2),d=s*n+a/2,u=n-a,g=ke,y=(v,R)=>{if(R===0)return c;let q=Math.max(1.5,R/i*(ke-1));return g-=q,ce`<rect class="bar ${v}" x=${d} y=${g} width=${u} height=${q} />`};return ce`<g class=${s===this.selected?"bucket selected":"bucket"}>
<rect class="bucket-back" x=${s*n} y="0" width=${n} height=${ke} />
${y("accepted",e.requests-e.denied)}
${Tt.map(v=>y(v,e.deniedByReason[v]))}
</g>`}#t(){let{buckets:e}=this;return[0,Math.floor((e.length-1)/2),e.length-1].filter((i,n,a)=>a.indexOf(i)===n).map(i=>{let n=e[i];if(n===void 0)return c;let a=this.interval==="hour"&&e.length<=25;return o`<span>${a?rs(n.start):this.interval==="hour"?At(n.start):ss(n.start)}</span>`})}#r(e){return this.interval==="hour"?At(e.start):ts(e.start)}#s(e){if(e===0)return l.usage.nothing;let s=this.selected===null?void 0:this.buckets[this.selected];if(s===void 0)return l.usage.readout;let i=Tt.filter(a=>s.deniedByReason[a]>0).map(a=>`${l.usage.reasons[a]} ${b(s.deniedByReason[a])}`).join(", "),n=s.denied>0?`, ${l.usage.refused(b(s.denied))} (${i})`:"";return o`<b>${this.#r(s)}</b>: ${l.usage.total(b(s.requests))}${n}`}#n(e){let s=this.buckets.filter(i=>i.requests>0).reverse();return o`<details class="chart-table">
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
${s.map(i=>o`<tr>
<th scope="row">${this.#r(i)}</th>
<td class="number">${b(i.requests)}</td>
<td class="number">${b(i.denied)}</td>
${e.map(n=>o`<td class="number">${b(i.deniedByReason[n])}</td>`)}
</tr>`)}
</tbody>
</table>
</div>
</details>`}#i;#a};p([h({attribute:!1})],we.prototype,"buckets",2),p([h()],we.prototype,"interval",2),p([m()],we.prototype,"selected",2);$("rally-usage-chart",we);var _t=t=>t.reduce((r,e)=>r+e,0);function mr(t){let r=10**Math.floor(Math.log10(t));return([1,2,3,4,5,6,8,10].find(e=>e*r>=t)??10)*r}var He={status:null,mark:null,search:"",scope:null,createdBy:null,sort:"-createdAt"},bs=t=>t.status!==null||t.mark!==null||t.search!==""||t.scope!==null||t.createdBy!==null,fr=7*x,gs=100,vs="active,suspended";async function $s(t,r,e,s){if(r.mark==="oldSecret"){let u=(await xs(t)).filter(g=>yr(g,r));return{items:u,next:null,total:u.length}}let i={...Pt(r),sort:r.sort,limit:e,include:"usage"};if(s!==null&&(i.cursor=s),r.mark!=="neverUsed")return t.list(i);let n=await t.list({...i,sort:"lastUsedAt"}),a=n.items.filter(u=>u.lastUsedAt===null),d=a.length<n.items.length;return{items:a,next:d?null:n.next,total:d&&s===null?a.length:null}}function Pt(t){let r={};return t.status!==null&&(r.status=t.status),t.search!==""&&(r.search=t.search),t.scope!==null&&(r.scope=t.scope),t.createdBy!==null&&(r.createdBy=t.createdBy),t.mark!==null&&(r.status=vs),t.mark==="idle"&&(r.unusedForDays=90),t.mark==="expiring"&&(r.expiresBefore=new Date(Date.now()+30*x).toISOString()),r}function yr(t,{search:r,scope:e,createdBy:s}){let i=`${t.name}
${t.description??""}
${t.keyHint.slice(-4)}`.toLowerCase(),n=["read","write","admin"];return i.includes(r.toLowerCase())&&(e===null||n.indexOf(C(t.scopes))>=n.indexOf(e))&&(s===null||t.createdBy===s)}async function xs(t){let r=Date.now()-fr,e=new Set,s;for(;;){let n=await t.events({type:"rotated",limit:200,...s===void 0?{}:{cursor:s}});for(let d of n.items)Date.parse(d.occurredAt)>=r&&d.keyId!==null&&e.add(d.keyId);let a=n.items.at(-1);if(n.next===null||a===void 0||Date.parse(a.occurredAt)<r)break;s=n.next}return(await Promise.all([...e].map(async n=>(await t.key(n)).value))).filter(n=>et(n).includes("oldSecret"))}async function ks(t,r){let e={statuses:{},marks:{}},s=async n=>{try{await n(),r({statuses:{...e.statuses},marks:{...e.marks}})}catch{}},i=["active","suspended","expired","revoked"].map(n=>s(async()=>{e.statuses[n]=await t.count({status:n})}));await Promise.all([s(async()=>{e.statuses.all=await t.count({})}),...i,s(async()=>{e.marks.idle={count:await t.count(Pt({...He,mark:"idle"}))}}),s(async()=>{e.marks.expiring={count:await t.count(Pt({...He,mark:"expiring"}))}}),s(async()=>{let{items:n}=await t.list({status:vs,sort:"lastUsedAt",limit:gs}),a=n.filter(d=>d.lastUsedAt===null).length;e.marks.neverUsed={count:a,atLeast:a===gs}}),s(async()=>{e.marks.oldSecret={count:(await xs(t)).length}})])}var gr=["active","suspended","expired","revoked"],br=["oldSecret","expiring","idle","neverUsed"],vr=250,K=class extends A{constructor(){super();this.me=null;this.mayCreate=!1;this.pageSize=50;this.keyUrl="";this.filters=He;this.counts={statuses:{},marks:{}};this.cursors=[null];this.page=new L(this);this.#e=E();this.#t=E();this.#r=E();this.#s=E();this.#n=!1;this.#f=e=>{let s=e.target.value.trim();clearTimeout(this.#i),this.#i=setTimeout(()=>{s!==this.filters.search&&this.#o({search:s})},vr)};new be(this)}#e;#t;#r;#s;#n;#i;willUpdate(e){e.has("api")&&this.reload()}async reload(){await this.#a()&&await ks(this.api,e=>this.counts=e)}updated(){this.#n||this.page.value===void 0||(this.#n=!0,performance.mark("rally-list"))}focusKey(e){this.find(`[data-key="${CSS.escape(e)}"] .key-name`)?.focus()}#a(){let{filters:e}=this;return this.page.run(()=>$s(this.api,e,this.pageSize,this.cursors.at(-1)??null))}#o(e){this.filters={...this.filters,...e},this.cursors=[null],this.#a()}render(){let{value:e,error:s,slow:i}=this.page,n=e!==void 0&&e.items.length===0&&!bs(this.filters)&&this.cursors.length===1;return o`
<div class="view-head">
<div>
<h1 class="title" tabindex="-1">${l.list.title}</h1>
<p class="muted">${l.list.intro}</p>
</div>
${this.mayCreate&&!n?o`<button type="button" class="button primary" part="create" @click=${()=>this.emit("create")}>
${f("plus")} ${l.list.create}
</button>`:c}
</div>
${n&&s===null?this.#u():this.#l(e)}
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
</section>`}#l(e){let{error:s,busy:i}=this.page;return o`
${this.#y()}
${k(s,()=>this.reload())}
${e===void 0?s===null?this.#v():c:e.items.length===0?this.#b():this.#$(e,i)}
<p class="visually-hidden" role="status">${e===void 0||i?"":l.list.found(e.items.length)}</p>
`}#y(){let e=l.list,{filters:s}=this;return o`
<div class="filters" role="group" aria-label=${e.statusFilter}>
${this.#h(null,e.all)}
${gr.map(i=>this.#h(i,l.status[i]))}
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
.value=${s.search}
@input=${this.#f}
/>
</div>
<div class="select">
<label for=${this.#t}>${e.scope}</label>
<select id=${this.#t} @change=${i=>this.#o({scope:Rt(i)||null})}>
<option value="">${e.scopeAny}</option>
${re.map(i=>o`<option value=${i} ?selected=${s.scope===i}>${l.scopes[i]}</option>`)}
</select>
</div>
<div class="select">
<label for=${this.#r}>${e.createdBy}</label>
<select id=${this.#r} @change=${i=>this.#o({createdBy:Rt(i)||null})}>
<option value="">${e.createdByAnyone}</option>
${this.#c().map(i=>o`<option value=${i} ?selected=${s.createdBy===i}>${i===this.#d()?e.createdByMe:G(i)}</option>`)}
</select>
</div>
<div class="select">
<label for=${this.#s}>${e.sort}</label>
<select id=${this.#s} ?disabled=${s.mark==="neverUsed"||s.mark==="oldSecret"} @change=${i=>this.#o({sort:Rt(i)})}>
${Object.entries(e.sorts).map(([i,n])=>o`<option value=${i} ?selected=${s.sort===i}>${n}</option>`)}
</select>
</div>
</div>
<div class="chips" role="group" aria-label=${e.marksFilter}>
<span class="chips-label" aria-hidden="true">${e.marksFilter}</span>
${br.map(i=>this.#g(i))}
</div>
`}#h(e,s){let i=this.counts.statuses[e??"all"],n=this.filters.status===e&&this.filters.mark===null;return o`<button type="button" class="filter" aria-pressed=${n?"true":"false"} @click=${()=>this.#o({status:e,mark:null})}>
${s} ${i===void 0?c:o`<span class="count">${i===null?l.list.more(b(kt)):b(i)}</span>`}
</button>`}#g(e){let s=this.counts.marks[e],i=this.filters.mark===e,n=s?.count===0&&!i,a=s===void 0?c:o`<span class="count">${s.count===null?l.list.more(b(kt)):s.atLeast?l.list.more(b(s.count)):b(s.count)}</span>`;return o`<button
type="button"
class=${n?"chip none":"chip"}
aria-pressed=${i?"true":"false"}
@click=${()=>this.#o({mark:i?null:e,status:null})}
>
${l.list[e]} ${a}
</button>`}#b(){return o`<section class="empty small">
<h2>${l.list.nothingFound}</h2>
<p>${l.list.nothingFoundHint}</p>
<button type="button" class="button" @click=${()=>this.#o({...He,sort:this.filters.sort})}>${l.list.clear}</button>
</section>`}#v(){return o`<div class="skeleton" role="status" aria-label=${l.common.loading}>
${[0,1,2,3,4].map(()=>o`<div class="skeleton-row"><span></span><span></span><span></span></div>`)}
</div>`}#$(e,s){let i=l.list,n=e.items.some(a=>a.usage!==void 0);return o`
<table class=${s?"keys busy":"keys"} part="list" role="table" aria-label=${i.title} aria-busy=${s?"true":"false"}>
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
`}#p(e,s){let i=s.startsWith("-")?s.slice(1):`-${s}`,{sort:n}=this.filters,d=n===s||n===i?n.startsWith("-")?"descending":"ascending":"none";return o`<th scope="col" role="columnheader" aria-sort=${d}>
<button type="button" class="sort" @click=${()=>this.#o({sort:n===s?i:s})}>${e}</button>
</th>`}#x(e,s){let i=l.list,n=et(e);return o`<tr role="row" part="row" data-key=${e.id} class=${e.isActive?"key":"key inactive"} @click=${a=>this.#w(a,e)}>
<th scope="row" role="rowheader" class="cell-name">
${this.#k(e)}
${e.description===null?c:o`<span class="description" title=${e.description}>${e.description}</span>`}
<span class="under"><code class="hint">${e.keyHint}</code>${n.map(a=>os(a,e))}</span>
</th>
<td role="cell" data-label=${i.columnScopes}>${ns(e.scopes)}</td>
${s?o`<td role="cell" class="cell-usage" data-label=${i.columnUsage}>${e.usage===void 0?c:ys(e.usage)}</td>`:c}
<td role="cell" data-label=${i.columnLastUsed}>${M(e.lastUsedAt,o`<span class="muted">${l.time.never}</span>`)}</td>
<td role="cell" data-label=${i.columnExpires}>${M(e.expiresAt,o`<span class="muted">${l.time.never}</span>`)}</td>
<td role="cell" class="cell-created" data-label=${i.columnCreated}>
<time datetime=${e.createdAt} title=${se(e.createdAt)}>${wt(e.createdAt)}</time>
${e.createdBy===null?c:o`<span class="muted creator" title=${e.createdBy}>${i.by(G(e.createdBy))}</span>`}
</td>
<td role="cell" class="cell-status" data-label=${i.columnStatus}>${Ze(e)}</td>
</tr>`}#k(e){let s=i=>{i.ctrlKey||i.metaKey||i.shiftKey||(i.preventDefault(),this.emit("open-key",e.id))};return this.keyUrl===""?o`<button type="button" class="key-name link" @click=${s}>${e.name}</button>`:o`<a class="key-name link" href=${this.keyUrl.replace("{id}",e.id)} @click=${s}>${e.name}</a>`}#w(e,s){e.defaultPrevented||e.target.closest("a, button")!==null||String(getSelection())!==""||this.emit("open-key",s.id)}#A(e){let s=l.list,i=(this.cursors.length-1)*this.pageSize+1,n=i+e.items.length-1,a=[b(i),b(n)];return o`<nav class="pages" aria-label=${s.pages}>
<span class="muted">${e.total===null?s.rangeOpen(...a):s.range(...a,b(e.total))}</span>
<button type="button" class="button" ?disabled=${this.cursors.length===1} @click=${()=>this.#m(this.cursors.slice(0,-1))}>${f("back")} ${s.previous}</button>
<button type="button" class="button" ?disabled=${e.next===null} @click=${()=>this.#m([...this.cursors,e.next])}>${s.next} ${f("forward")}</button>
</nav>`}async#m(e){this.cursors=e,await this.#a(),this.find(".keys")?.scrollIntoView({block:"nearest"})}#d(){let e=this.me?.principal;return e===void 0?null:e.kind==="user"?e.name:`api-key:${e.id}`}#c(){let e=new Set(this.page.value?.items.flatMap(i=>i.createdBy??[])??[]);this.filters.createdBy!==null&&e.add(this.filters.createdBy);let s=this.#d();return s!==null&&e.delete(s),[...s===null?[]:[s],...[...e].sort()]}#f};p([h({attribute:!1})],K.prototype,"api",2),p([h({attribute:!1})],K.prototype,"me",2),p([h({type:Boolean})],K.prototype,"mayCreate",2),p([h({type:Number})],K.prototype,"pageSize",2),p([h()],K.prototype,"keyUrl",2),p([m()],K.prototype,"filters",2),p([m()],K.prototype,"counts",2),p([m()],K.prototype,"cursors",2);$("rally-key-list",K);var Rt=t=>t.target.value;var S=l.events;function Ss(t,r,e){let s=r===null?S.thisKey:S.key(r);return S.sentence[t.type]?.(G(t.actor,e),s)??t.type}function vo(t){let r=t.details;return typeof r.name=="string"?r.name:r.name?.to??null}function Es(t){switch(t.type){case"created":case"revoked":{let{scopes:r,expiresAt:e,keyHint:s}=t.details,i=e===null?S.endsNever:S.ends(U(e));return[S.secret(s),S.granted(l.scopes[C(r)]),...t.type==="created"?[i]:[]]}case"updated":return ws(t.details);case"rotated":{let{previousKeyHint:r,previousExpiresAt:e,keyHint:s}=t.details;return[S.newSecret(s),e===null?S.overlapNone(r):S.overlap(r,U(e))]}case"previous_secret_ended":return[S.secret(t.details.previousKeyHint)];case"suspended":case"resumed":{let{until:r,reason:e}=t.details;return[...r===null?[]:[S.until(U(r))],...e===null?[]:[S.reason(e)]]}case"secret_reused":return[S.secret(t.details.keyHint)];case"exposed":case"decoy_used":{let{keyHint:r,userAgent:e}=t.details;return[S.secret(r),...e===null?[]:[e]]}case"leaked":{let{keyHint:r,url:e,otherUrls:s,action:i}=t.details,n=[...e===null?[]:[e],...s];return[S.secret(r),...n.map(S.foundAt),S.leakActions[i]??i]}case"policy_changed":{let{from:r,to:e}=t.details,s=Object.keys(e).filter(i=>JSON.stringify(r[i])!==JSON.stringify(e[i]));return ws(Object.fromEntries(s.map(i=>[i,{from:r[i],to:e[i]}])))}default:return[]}}function ws(t){return Object.entries(t).flatMap(([r,e])=>{let s=S.fields[r];return s===void 0?[]:[S.change(s,As(r,e.from),As(r,e.to))]})}function As(t,r){return r==null||r===""?t==="expiresAt"?l.time.never:l.common.none:t==="scopes"||t==="allowedScopes"?l.scopes[C(String(r))]:t==="expiresAt"?U(String(r)):t==="rateLimit"||t==="defaultRateLimit"?xe(r):t==="quota"?he(r):Array.isArray(r)?r.length===0?l.common.any:r.join(", "):typeof r=="number"?b(r):String(r)}var $r={created:"good",revoked:"bad",secret_reused:"bad",leaked:"bad",decoy_used:"bad",exposed:"bad",suspended:"warn",rotated:"accent",resumed:"good"},Ts=t=>o`<span class="dot ${$r[t.type]??""}" aria-hidden="true"></span>`;var xr=["name","description","scopes","expiresAt","allowedAddresses","rateLimit","quota"],W=class extends T{constructor(){super(...arguments);this.granted="admin";this.policy=null;this.errors={};this.conflict=null;this.#e=Date.now();this.#s=async e=>{e?.preventDefault();let s=this.form?.draft;if(s!==void 0){if(this.draft=s,this.errors=nt(s,this.#e),Object.keys(this.errors).length===0){let i=ps(s,this.base.value,this.#e);if(Object.keys(i).length===0){this.close();return}await this.attempt(()=>this.#n(i))}await this.updateComplete,await this.form?.updateComplete,this.find('[aria-invalid="true"]')?.focus()}};this.#a=()=>{this.emit("key-changed",this.base.value.id),this.close()};this.#o=async()=>{let{conflict:e}=this;e!==null&&await this.attempt(async()=>{let s=this.base;this.base=e.theirs;try{await this.#n(e.mine)}catch(i){throw this.base=s,Object.keys(this.errors).length>0&&(this.conflict=null),i}})}}#e;connectedCallback(){super.connectedCallback(),this.base=this.opened,this.draft=Et(this.base.value),this.api.policy().then(e=>this.policy=e,()=>{})}get form(){return this.find("rally-key-form")}render(){return this.conflict===null?this.#t():this.#r(this.conflict)}#t(){let e=this.error!==null&&Object.keys(this.errors).length===0;return this.frame(l.form.editTitle,o`<form id="edit-form" novalidate @submit=${this.#s}>
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
<button type="submit" form="edit-form" class="button primary" ?disabled=${this.busy}>${this.busy?l.common.saving:l.common.save}</button>`,{wide:!0})}#r({theirs:e,mine:s,actor:i,at:n}){let a=l.conflict,d=this.base.value,u=xr.filter(y=>y in s||Ct(d[y],e.value[y])),g=e.value.status==="revoked";return this.frame(a.title,o`<div class="conflict" role="alert">
${n===null?c:o`<p>${a.by(G(i))} ${M(n)}.</p>`}
${g?o`<p class="field-error">${a.revoked}</p>`:c}
${k(this.error)}
<div class="scroll" tabindex="0" role="group" aria-label=${a.title}>
<table class="plain compare">
<thead>
<tr><th scope="col">${a.field}</th><th scope="col">${a.before}</th><th scope="col">${a.theirs}</th><th scope="col">${a.yours}</th></tr>
</thead>
<tbody>
${u.map(y=>o`<tr>
<th scope="row">${l.events.fields[y]}</th>
<td>${qt(d,y)}</td>
<td class=${Ct(d[y],e.value[y])?"differs":""}>${Ct(d[y],e.value[y])?qt(e.value,y):o`<span class="muted">${a.unchanged}</span>`}</td>
<td class=${y in s?"differs":""}>${y in s?qt({...d,...s},y):o`<span class="muted">${a.unchanged}</span>`}</td>
</tr>`)}
</tbody>
</table>
</div>
</div>`,o`<button type="button" class="button" data-focus ?disabled=${this.busy} @click=${this.#a}>${a.takeTheirs}</button>
${g?c:o`<button type="button" class="button primary" ?disabled=${this.busy} @click=${this.#o}>${this.busy?l.common.saving:a.saveMine}</button>`}`,{wide:!0})}#s;async#n(e){try{let s=await this.api.update(this.base.value.id,e,this.base.etag);this.emit("key-changed",s.value.id),this.busy=!1,this.close()}catch(s){let i=J(s);if(i.code==="precondition_failed"||i.code==="key_revoked"){await this.#i(e);return}throw this.errors=ot(i,this.draft)??{},i}}async#i(e){let[s,i]=await Promise.all([this.api.key(this.base.value.id),this.api.keyEvents(this.base.value.id,{limit:1})]),n=i.items[0];this.conflict={theirs:s,mine:e,actor:n?.actor??null,at:n?.occurredAt??null},await this.updateComplete,this.find("[data-focus]")?.focus()}#a;#o};p([h({attribute:!1})],W.prototype,"opened",2),p([h()],W.prototype,"granted",2),p([m()],W.prototype,"base",2),p([m()],W.prototype,"policy",2),p([m()],W.prototype,"errors",2),p([m()],W.prototype,"conflict",2),p([m()],W.prototype,"draft",2);$("rally-edit-dialog",W);var Ct=(t,r)=>JSON.stringify(t)!==JSON.stringify(r);function qt(t,r){switch(r){case"scopes":return l.scopes[C(t.scopes)];case"expiresAt":return t.expiresAt===null?l.time.never:U(t.expiresAt);case"allowedAddresses":return t.allowedAddresses.length===0?l.key.addressesAny:t.allowedAddresses.join(", ");case"rateLimit":return xe(t.rateLimit);case"quota":return he(t.quota);default:return t[r]??l.common.none}}var Mt=(t,r=Date.now())=>t.filter(e=>r-Date.parse(e.lastSeenAt)<x),ze=t=>t.address===null?o`<span title=${l.key.callerManyHint}>${l.key.callerMany}</span>`:o`<code>${t.address}</code>`,Ke=t=>t.userAgent===null?t.address===null?c:o`<span class="muted">${l.key.callerNoProgram}</span>`:o`<span class="program" title=${t.userAgent}>${t.userAgent}</span>`;function Ae(t){let r=l.revoke,e=Mt(t);return e.length===0?o`<p class="note good">${r.recentNone}</p>`:o`<div class="note warn block">
<p><b>${r.recent}</b></p>
<ul class="caller-list">
${e.slice(0,5).map(s=>o`<li>${ze(s)} ${Ke(s)} <span class="muted">${M(s.lastSeenAt)}</span></li>`)}
${e.length>5?o`<li class="muted">+ ${b(e.length-5)}</li>`:c}
</ul>
</div>`}var Z=l.revoke,Se=class extends T{constructor(){super(...arguments);this.typed="";this.mismatch=!1;this.callers=new L(this);this.#e=E();this.#n=()=>{this.emit("suspend-instead"),this.close()};this.#i=async e=>{if(e.preventDefault(),this.mismatch=this.#t&&this.typed.trim()!==this.key.name,this.mismatch){await this.updateComplete,this.find('[aria-invalid="true"]')?.focus();return}await this.attempt(async()=>{await this.api.revoke(this.key.id),this.emit("key-revoked",this.key.id),this.busy=!1,this.close()})}}#e;connectedCallback(){super.connectedCallback(),this.callers.run(()=>this.api.callers(this.key.id))}get#t(){let{value:e}=this.callers;return this.key.status==="expired"?!1:e===void 0?this.callers.error!==null:Mt(e).length>0}render(){let{key:e}=this,s=e.status==="active";return this.frame(Z.title(e.name),o`<form id="revoke-form" novalidate @submit=${this.#i}>
${k(this.error,this.#i,!1)}
<p>${Z.lead}</p>
${this.#r()}
${s?o`<p class="suggestion">
<span>${Z.suspendFirst}</span>
<button type="button" class="button" @click=${this.#n}>${f("pause")} ${Z.suspendInstead}</button>
</p>`:c}
${this.#t?this.#s():c}
</form>`,o`<button type="button" class="button" data-focus ?disabled=${this.busy} @click=${()=>this.close()}>${l.common.cancel}</button>
<button type="submit" form="revoke-form" class="button danger" ?disabled=${this.busy||this.callers.value===void 0&&this.callers.error===null}>
${this.busy?Z.busy:Z.submit}
</button>`)}#r(){let{value:e,error:s}=this.callers;return e!==void 0?Ae(e):s===null?o`<p class="muted" role="status">${l.common.loading}</p>`:o`<p class="note warn">${f("warning")}<span>${Z.recentUnknown}</span></p>`}#s(){return o`<div class="field">
<label for="${this.#e}-name">${Z.typeName(this.key.name)}</label>
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
${this.mismatch?o`<p class="field-error">${f("warning")}<span>${Z.typeMismatch}</span></p>`:c}
</div>
</div>`}#n;#i};p([h({attribute:!1})],Se.prototype,"key",2),p([m()],Se.prototype,"typed",2),p([m()],Se.prototype,"mismatch",2);$("rally-revoke-dialog",Se);var I=l.rotate,kr=[[86400,I.day],[604800,I.week],[3600,I.hour],[0,I.none]],ee=class extends T{constructor(){super(...arguments);this.callers=null;this.overlap=86400;this.created=null;this.stored=!1;this.nudge=!1;this.#e=new ve;this.#t=E();this.#s=async()=>{await this.attempt(async()=>{let{value:e,etag:s}=this.opened,i=this.#e.for(this.overlap);this.created=await Ge(()=>this.api.rotate(e.id,this.overlap,s,i)),this.emit("key-rotated",e.id),await this.updateComplete,this.find("[data-secret]")?.focus()})}}#e;#t;mayClose(){return this.created===null?super.mayClose():(this.stored||(this.nudge=!0),this.stored)}render(){if(this.created!==null)return this.#r(this.created);let e=this.opened.value,s=e.expiresAt!==null&&Date.parse(e.expiresAt)<Date.now()+this.overlap*1e3?e.expiresAt:null;return this.frame(I.title(e.name),o`
${k(this.error,this.#s,!1)}
<p>${I.lead}</p>
<ol class="steps">${I.steps.map(i=>o`<li>${i}</li>`)}</ol>
<fieldset class="field">
<legend>${I.overlap}</legend>
<div class="segments">
${kr.map(([i,n],a)=>o`<label class="segment">
<input type="radio" ?data-focus=${a===0} name=${this.#t} .checked=${this.overlap===i} @change=${()=>this.overlap=i} />
<span>${n}</span>
</label>`)}
</div>
<p class=${this.overlap===0?"note warn":"hint-text"} aria-live="polite">
${this.overlap===0?o`${f("warning")}<span>${I.noneHint}</span>`:s===null?c:I.capped(U(s))}
</p>
</fieldset>
${e.rotation===null?c:o`<p class="note warn">${f("warning")}<span>${I.already(e.rotation.previousKeyHint)}</span></p>`}
${this.callers===null?c:Ae(this.callers)}
`,o`<button type="button" class="button" ?disabled=${this.busy} @click=${()=>this.close()}>${l.common.cancel}</button>
<button type="button" class="button primary" ?disabled=${this.busy} @click=${this.#s}>${this.busy?I.busy:I.submit}</button>`)}#r(e){return this.frame(l.secret.rotatedTitle,o`<rally-secret-panel .created=${e} baseUrl=${this.api.baseUrl} ?nudge=${this.nudge&&!this.stored}></rally-secret-panel>`,o`<label class="confirm">
<input type="checkbox" .checked=${this.stored} @change=${s=>this.stored=s.target.checked} />
<span>${l.secret.stored}</span>
</label>
<button type="button" class="button primary" ?disabled=${!this.stored} @click=${()=>this.close()}>${l.secret.done}</button>`,{wide:!0,closable:!1})}#s};p([h({attribute:!1})],ee.prototype,"opened",2),p([h({attribute:!1})],ee.prototype,"callers",2),p([m()],ee.prototype,"overlap",2),p([m()],ee.prototype,"created",2),p([m()],ee.prototype,"stored",2),p([m()],ee.prototype,"nudge",2);$("rally-rotate-dialog",ee);var _=l.rotation,Y=class extends A{constructor(){super(...arguments);this.callers=null;this.secrets=[];this.mayEnd=!1;this.ends=!1;this.error=null}render(){let{rotation:e}=this.key;if(e===null)return c;let{previousKeyHint:s,previousExpiresAt:i,previousLastUsedAt:n}=e,a=this.secrets.find(({keyHint:R,retiredAt:q})=>R===s&&q!==null),d=a?.retiredAt??null,u=d===null||this.callers===null?[]:wr(this.callers,d),g=d!==null&&n!==null&&Date.parse(n)>Date.parse(d),y=[a?.lastAddress,a?.lastUserAgent].filter(Boolean).join(" · "),v=g?y===""?_.used(ue(n)):_.usedBy(ue(n),y):_.unused;return o`<section class="card rotation" part="rotation" aria-label=${_.title}>
<div class="card-head">
<h2 class="section-title">${f("rotate")} ${_.title}</h2>
${this.mayEnd?o`<button type="button" class="button" data-action="end-previous" @click=${()=>this.ends=!0}>${_.end}</button>`:c}
</div>
<p>${_.until(s)} ${$e(i)} <span class="muted">(${M(i)})</span>.</p>
${this.#e(d,i)}
<p class="rotation-state ${g?"warn":"good"}" aria-live="polite" data-state=${g?"used":"unused"}>
${f(g?"warning":"check")}<span>${v}</span>
</p>
${u.length===0?c:o`<ul class="programs" aria-label=${_.programs}>
${u.map(({caller:R,progress:q})=>this.#t(R,q))}
</ul>`}
${k(this.error)}
${this.ends?o`<rally-end-secret-dialog
.api=${this.api}
keyId=${this.key.id}
.usedAt=${g?n:null}
@closed=${()=>this.ends=!1}
></rally-end-secret-dialog>`:c}
</section>`}#e(e,s){if(e===null)return c;let i=Date.parse(e),n=Math.min(100,Math.max(0,Math.round((Date.now()-i)/(Date.parse(s)-i)*100)));return o`<progress class="meter" max="100" value=${n} aria-label=${_.elapsed(n)}></progress>`}#t(e,s){let i={old:_.stillOld,moved:_.moved,silent:_.silent}[s];return o`<li>
<span class="program-state ${s}">${f(s==="moved"?"check":s==="old"?"warning":"info")} ${i}</span>
<span>${ze(e)} ${Ke(e)}</span>
<span class="muted">${M(e.lastSeenAt)}</span>
</li>`}};p([h({attribute:!1})],Y.prototype,"api",2),p([h({attribute:!1})],Y.prototype,"key",2),p([h({attribute:!1})],Y.prototype,"callers",2),p([h({attribute:!1})],Y.prototype,"secrets",2),p([h({type:Boolean})],Y.prototype,"mayEnd",2),p([m()],Y.prototype,"ends",2),p([m()],Y.prototype,"error",2);$("rally-rotation-panel",Y);function wr(t,r){let e=new Map,s=Date.parse(r);for(let n of t){let a=`${n.address}
${n.userAgent}`,u=Date.parse(n.lastSeenAt)>s?n.secret==="previous"?"old":"moved":"silent";e.has(a)||e.set(a,{caller:n,progress:u})}let i=["old","silent","moved"];return[...e.values()].sort((n,a)=>i.indexOf(n.progress)-i.indexOf(a.progress)).slice(0,10)}var Be=class extends T{constructor(){super(...arguments);this.keyId="";this.usedAt=null;this.#e=async()=>{await this.attempt(async()=>{await this.api.endPreviousSecret(this.keyId),this.busy=!1,this.emit("key-changed",this.keyId),this.close()})}}render(){return this.frame(_.endTitle,o`${k(this.error,this.#e,!1)}
<p>${_.endText}</p>
${this.usedAt===null?o`<p class="note good">${_.unused}</p>`:o`<p class="note warn">${f("warning")}<span>${_.endUsed(ue(this.usedAt))}</span></p>`}`,o`<button type="button" class="button" data-focus ?disabled=${this.busy} @click=${()=>this.close()}>${l.common.cancel}</button>
<button type="button" class="button primary" ?disabled=${this.busy} @click=${this.#e}>${_.end}</button>`)}#e};p([h()],Be.prototype,"keyId",2),p([h({attribute:!1})],Be.prototype,"usedAt",2);$("rally-end-secret-dialog",Be);var P=l.suspend,Ar={hour:3600,day:86400,week:604800},Sr=[["resumed",P.untilResumed],["hour",P.hour],["day",P.day],["week",P.week],["custom",P.custom]],V=class extends T{constructor(){super(...arguments);this.callers=null;this.resume=!1;this.until="resumed";this.customAt=F(new Date(Date.now()+2*864e5));this.reason="";this.customError=!1;this.#e=E();this.#r=async e=>{e.preventDefault();let s=this.#s();if(this.customError=s!==null&&!(s.getTime()>Date.now()),this.customError){await this.updateComplete,this.find('[aria-invalid="true"]')?.focus();return}await this.attempt(async()=>{let{id:i}=this.key,n=this.reason.trim()||null;await(this.resume?this.api.resume(i,n):this.api.suspend(i,s?.toISOString()??null,n)),this.emit("key-changed",i),this.busy=!1,this.close()})}}#e;render(){let{key:e,resume:s}=this,i=this.error?.errors.filter(({field:a})=>a==="reason")??[],n=this.error!==null&&i.length===0;return this.frame(s?P.resumeTitle(e.name):P.title(e.name),o`<form id="suspend-form" novalidate @submit=${this.#r}>
${n?k(this.error,this.#r,!1):c}
<p>${s?P.resumeLead:P.lead}</p>
${s?c:this.#t()}
<div class="field">
<label for="${this.#e}-reason">${P.reason} <span class="optional">${l.common.optional}</span></label>
<input
id="${this.#e}-reason"
?data-focus=${s}
type="text"
maxlength="200"
autocomplete="off"
aria-describedby="${this.#e}-reason-hint ${this.#e}-reason-error"
aria-invalid=${i.length>0?"true":"false"}
.value=${this.reason}
@input=${a=>this.reason=a.target.value}
/>
<p class="hint-text" id="${this.#e}-reason-hint">${P.reasonHint}</p>
<div id="${this.#e}-reason-error">
${i.map(({message:a})=>o`<p class="field-error">${f("warning")}<span>${a}</span></p>`)}
</div>
</div>
${s||this.callers===null?c:Ae(this.callers)}
</form>`,o`<button type="button" class="button" ?disabled=${this.busy} @click=${()=>this.close()}>${l.common.cancel}</button>
<button type="submit" form="suspend-form" class="button primary" ?disabled=${this.busy}>
${s?this.busy?P.resumeBusy:P.resumeSubmit:this.busy?P.busy:P.submit}
</button>`)}#t(){return o`<fieldset class="field">
<legend>${P.until}</legend>
<div class="segments">
${Sr.map(([e,s],i)=>o`<label class="segment">
<input type="radio" ?data-focus=${i===0} name="${this.#e}-until" .checked=${this.until===e} @change=${()=>this.until=e} />
<span>${s}</span>
</label>`)}
</div>
${this.until==="custom"?o`<div class="inline-field">
<label for="${this.#e}-custom">${P.customAt}</label>
<input
id="${this.#e}-custom"
type="datetime-local"
min=${F(new Date)}
aria-invalid=${this.customError?"true":"false"}
aria-describedby="${this.#e}-custom-error"
.value=${this.customAt}
@input=${e=>this.customAt=e.target.value}
/>
</div>`:c}
<div id="${this.#e}-custom-error">
${this.customError?o`<p class="field-error">${f("warning")}<span>${l.form.customRequired}</span></p>`:c}
</div>
</fieldset>`}#r;#s(){return this.until==="resumed"||this.resume?null:this.until==="custom"?new Date(this.customAt):new Date(Date.now()+Ar[this.until]*1e3)}};p([h({attribute:!1})],V.prototype,"key",2),p([h({attribute:!1})],V.prototype,"callers",2),p([h({type:Boolean})],V.prototype,"resume",2),p([m()],V.prototype,"until",2),p([m()],V.prototype,"customAt",2),p([m()],V.prototype,"reason",2),p([m()],V.prototype,"customError",2);$("rally-suspend-dialog",V);var Er=1e4,Tr=5e3,_s=20,Ps={day:{ms:x,interval:"hour",label:l.usage.day},week:{ms:7*x,interval:"hour",label:l.usage.week},month:{ms:30*x,interval:"day",label:l.usage.month},quarter:{ms:90*x,interval:"day",label:l.usage.quarter}},_r=({ms:t,interval:r})=>new Date(Date.now()-t+(r==="hour"?36e5:x)),B=class extends A{constructor(){super();this.keyId="";this.mayChange=!1;this.granted="read";this.listUrl="";this.range="month";this.dialog=null;this.notice="";this.key=new L(this);this.usage=new L(this);this.quotaUsed=new L(this);this.callers=new L(this);this.events=new L(this);this.#e=E();this.#r=null;this.#l=()=>{clearTimeout(this.#t);let e=this.key.value?.value;document.hidden||!this.isConnected||e===void 0||e.status==="revoked"||(this.#t=setTimeout(()=>{this.#y()},e.rotation===null?Er:Tr))};this.#d=async()=>{this.dialog=this.#r,this.#r=null,await this.#f()};this.#c=async()=>{await this.reload(),this.notice=l.key.changedMeanwhile,await this.#f()};new be(this)}#e;#t;#r;connectedCallback(){super.connectedCallback(),document.addEventListener("visibilitychange",this.#l)}disconnectedCallback(){super.disconnectedCallback(),document.removeEventListener("visibilitychange",this.#l),clearTimeout(this.#t)}willUpdate(e){if(e.has("keyId")||e.has("api")){for(let s of[this.key,this.usage,this.quotaUsed,this.callers,this.events])s.reset();this.dialog=null,this.#s()}}async#s(){await this.reload(),await this.updateComplete,this.dialog===null&&this.find(".title")?.focus({preventScroll:!0})}async reload(){await Promise.all([this.#n(),this.#i(),this.#a(),this.#o()]),this.#l()}async#n(){if(!await this.key.run(()=>this.api.key(this.keyId)))return;let e=this.key.value?.value.quota??null;if(e===null)return;let s=new Date,i=new Date(Date.UTC(s.getUTCFullYear(),s.getUTCMonth(),e.per==="day"?s.getUTCDate():1));await this.quotaUsed.run(async()=>{let{requests:n,denied:a}=await this.api.usage(this.keyId,i,"day");return n-a})}async#i(){let e=Ps[this.range];e!==void 0&&await this.usage.run(()=>this.api.usage(this.keyId,_r(e),e.interval))}async#a(){await this.callers.run(()=>this.api.callers(this.keyId))}async#o(){await this.events.run(()=>this.api.keyEvents(this.keyId,{limit:_s}))}async#u(){let e=this.events.value;if(e?.next==null)return;let s=e.next;await this.events.run(async()=>{let i=await this.api.keyEvents(this.keyId,{limit:_s,cursor:s});return{...i,items:[...e.items,...i.items]}})}#l;async#y(){let e=this.key.value?.etag;try{let s=await this.api.key(this.keyId);s.etag!==e&&this.dialog===null&&(this.key.value=s,this.requestUpdate(),await Promise.all([this.#i(),this.#a(),this.#o()]))}catch{}this.#l()}render(){let{value:e,error:s,slow:i}=this.key;return o`
<p class="crumb">${this.#h()}</p>
${e===void 0&&s!==null?o`<h1 class="title" tabindex="-1">${l.key.unknown}</h1>`:c}
${k(s,()=>this.reload())}
${e===void 0?s===null?this.#g():c:this.#b(e.value)}
${i?o`<p class="slow" role="status">${l.common.slow}</p>`:c}
<p class="visually-hidden" role="status">${this.notice}</p>
`}#h(){let e=i=>{i.ctrlKey||i.metaKey||i.shiftKey||(i.preventDefault(),this.emit("open-list"))},s=o`${f("back")} ${l.key.back}`;return this.listUrl===""?o`<button type="button" class="link" @click=${e}>${s}</button>`:o`<a class="link" href=${this.listUrl} @click=${e}>${s}</a>`}#g(){return o`<div class="skeleton" role="status" aria-label=${l.common.loading}>
${[0,1,2].map(()=>o`<div class="skeleton-row"><span></span><span></span></div>`)}
</div>`}#b(e){return o`
<header class="view-head">
<div>
<h1 class="title" tabindex="-1">${e.name} ${Ze(e)}</h1>
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
`}#v(e){if(!this.mayChange||e.status==="revoked")return c;let s=l.key;return o`<div class="actions" role="group" aria-label=${s.actions} part="actions">
<button type="button" class="button" data-action="edit" @click=${()=>this.dialog="edit"}>${f("edit")} ${s.edit}</button>
${e.status==="expired"?c:o`<button type="button" class="button" data-action="rotate" @click=${()=>this.dialog="rotate"}>${f("rotate")} ${s.rotate}</button>
${e.status==="suspended"?o`<button type="button" class="button" data-action="resume" @click=${()=>this.dialog="resume"}>${f("play")} ${s.resume}</button>`:o`<button type="button" class="button" data-action="suspend" @click=${()=>this.dialog="suspend"}>${f("pause")} ${s.suspend}</button>`}`}
<button type="button" class="button danger-quiet" data-action="revoke" @click=${()=>this.dialog="revoke"}>${f("trash")} ${s.revoke}</button>
</div>`}#$(e){let s=l.key,i={active:null,suspended:e.suspendedUntil===null?s.suspendedBanner:s.suspendedBannerUntil(U(e.suspendedUntil)),expired:s.expiredBanner,revoked:s.revokedBanner}[e.status];return i===null?c:o`<p class="note ${e.status==="suspended"?"warn":""}">${f("info")}<span>${i}</span></p>`}#p(){let{value:e,error:s}=this.usage;return o`<section class="card" aria-labelledby="${this.#e}-usage">
<div class="card-head">
<h2 id="${this.#e}-usage" class="section-title">${l.usage.chart}</h2>
${Pr(this.range,i=>{this.range=i,this.#i()})}
</div>
${k(s,()=>this.#i())}
${e===void 0?c:o`<rally-usage-chart .buckets=${e.buckets} interval=${e.interval}></rally-usage-chart>`}
</section>`}#x(){let e=l.key,{value:s,error:i}=this.callers;return o`<section class="card" aria-labelledby="${this.#e}-callers">
<h2 id="${this.#e}-callers" class="section-title">${e.callers}</h2>
${k(i,()=>this.#a())}
${s===void 0?c:s.length===0?o`<p class="muted">${e.callersNone}</p>`:o`<div class="scroll" tabindex="0" role="group" aria-label=${e.callers}>
<table class="plain">
<thead>
<tr>
<th scope="col">${e.callerAddress}</th>
<th scope="col">${e.callerProgram}</th>
<th scope="col">${e.callerSecret}</th>
<th scope="col" class="number">${e.callerRequests}</th>
<th scope="col">${e.callerLast}</th>
</tr>
</thead>
<tbody>
${s.map(n=>o`<tr>
<td>${ze(n)}</td>
<td>${Ke(n)}</td>
<td>${n.secret==="current"?e.callerSecretCurrent:o`<span class="mark">${e.callerSecretPrevious}</span>`}</td>
<td class="number">${b(n.requests)}</td>
<td>${M(n.lastSeenAt)}</td>
</tr>`)}
</tbody>
</table>
</div>
<p class="hint-text">${e.callersHint}</p>`}
</section>`}#k(){let{value:e,error:s,busy:i}=this.events;return o`<section class="card" aria-labelledby="${this.#e}-events">
<h2 id="${this.#e}-events" class="section-title">${l.key.events}</h2>
${k(s,()=>this.#o())}
${e===void 0?c:o`<ol class="timeline">
${e.items.map(n=>o`<li>
${Ts(n)}
<div>
<p>${Ss(n,null,()=>{})}</p>
<p class="muted small long">${Es(n).join(" · ")}</p>
<p class="muted small">${M(n.occurredAt)}${n.address===null?c:` ${l.events.from(n.address)}`}</p>
</div>
</li>`)}
</ol>
${e.next===null?c:o`<button type="button" class="button" ?disabled=${i} @click=${()=>this.#u()}>${l.events.older}</button>`}`}
</section>`}#w(e){let s=l.key,i=C(e.scopes),n=(a,d)=>o`<div><dt>${a}</dt><dd>${d}</dd></div>`;return o`<section class="card" aria-labelledby="${this.#e}-about">
<h2 id="${this.#e}-about" class="section-title">${s.about}</h2>
<dl class="facts">
${n(s.scopes,o`${l.scopes[i]}<span class="fact-hint">${l.scopes[`${i}Hint`]}</span>`)}
${n(s.expires,e.expiresAt===null?l.time.never:o`${$e(e.expiresAt)}<span class="fact-hint">${M(e.expiresAt)}</span>`)}
${n(s.lastUsed,M(e.lastUsedAt,l.time.never))}
${n(s.addresses,e.allowedAddresses.length===0?s.addressesAny:o`<ul class="address-list">${e.allowedAddresses.map(a=>o`<li><code>${a}</code></li>`)}</ul>`)}
${n(s.rateLimit,xe(e.rateLimit))}
${n(s.quota,this.#A(e))}
${n(s.created,o`${$e(e.createdAt)}${e.createdBy===null?c:o`<span class="fact-hint long">${l.list.by(G(e.createdBy))}</span>`}`)}
${e.revokedAt===null?c:n(s.revoked,$e(e.revokedAt))}
${n(s.hint,o`<code>${e.keyHint}</code>`)}
${n(s.id,o`<span class="id-line"><code class="id">${e.id}</code><rally-copy-button compact .text=${e.id} label="${l.common.copy}: ${s.id}"></rally-copy-button></span>`)}
</dl>
</section>`}#A(e){let{quota:s}=e,i=this.quotaUsed.value;if(s===null||i===void 0)return he(s);let n=l.key.quotaUsed(b(i),b(s.requests));return o`${he(s)}<progress class="meter" max=${s.requests} value=${Math.min(i,s.requests)} aria-label=${n}></progress><span class="fact-hint">${n}</span>`}#m(e){let s=this.key.value,i=this.callers.value??null;if(this.dialog===null||s===void 0)return c;switch(this.dialog){case"edit":return o`<rally-edit-dialog .api=${this.api} .opened=${s} granted=${this.granted} @closed=${this.#d} @key-changed=${this.#c}></rally-edit-dialog>`;case"rotate":return o`<rally-rotate-dialog .api=${this.api} .opened=${s} .callers=${i} @closed=${this.#d} @key-rotated=${this.#c} @key-changed=${this.#c}></rally-rotate-dialog>`;case"suspend":case"resume":return o`<rally-suspend-dialog .api=${this.api} .key=${e} .callers=${i} ?resume=${this.dialog==="resume"} @closed=${this.#d} @key-changed=${this.#c}></rally-suspend-dialog>`;case"revoke":return o`<rally-revoke-dialog
.api=${this.api}
.key=${e}
@closed=${this.#d}
@key-revoked=${this.#c}
@suspend-instead=${()=>this.#r="suspend"}
></rally-revoke-dialog>`}}#d;#c;async#f(){await this.updateComplete;let e=this.getRootNode();this.dialog===null&&(e.activeElement===null||e.activeElement===document.body)&&this.find(".title")?.focus()}};p([h({attribute:!1})],B.prototype,"api",2),p([h()],B.prototype,"keyId",2),p([h({type:Boolean})],B.prototype,"mayChange",2),p([h()],B.prototype,"granted",2),p([h()],B.prototype,"listUrl",2),p([m()],B.prototype,"range",2),p([m()],B.prototype,"dialog",2),p([m()],B.prototype,"notice",2);$("rally-key-view",B);function Pr(t,r){return o`<div class="segments small" role="group" aria-label=${l.usage.range}>
${Object.entries(Ps).map(([e,{label:s}])=>o`<button type="button" class="segment" aria-pressed=${t===e?"true":"false"} @click=${()=>r(e)}><span>${s}</span></button>`)}
</div>`}var Rs=dt`:host{--accent: var(--rally-accent, light-dark(#3b5bdb, #91a7ff));--on-accent: var(--rally-on-accent, light-dark(#fff, #10131c));--bg: var(--rally-background, light-dark(#fff, #14171d));--surface: var(--rally-surface, light-dark(#fff, #1a1e26));--sunken: var(--rally-sunken, light-dark(#f5f6f8, #111419));--text: var(--rally-text, light-dark(#1b2130, #e6e9f0));--muted: var(--rally-muted, light-dark(#5a6376, #a3adbf));--border: var(--rally-border, light-dark(#dfe3ea, #2e3542));--control: var(--rally-control-border, light-dark(#868fa3, #6b7689));--good: var(--rally-good, light-dark(#1a7242, #6dd49a));--warn: var(--rally-warning, light-dark(#8a5300, #f0b95b));--bad: var(--rally-danger, light-dark(#c0262f, #ff9a9a));--good-soft: light-dark(#e7f6ed, #16301f);--warn-soft: light-dark(#fff4de, #33270f);--bad-soft: light-dark(#fdecec, #3a191b);--accent-soft: light-dark(#edf1ff, #1e2748);--radius: var(--rally-radius, 8px);--mono: var(--rally-font-mono, ui-monospace, "SF Mono", "Cascadia Mono", "DejaVu Sans Mono", Menlo, Consolas, monospace);color-scheme:light dark;display:block;container-type:inline-size;font:14px/1.5 var(--rally-font, system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif);color:var(--text);text-align:start}:host([theme="light"]){color-scheme:light}:host([theme="dark"]){color-scheme:dark}:host([hidden]),[hidden]{display:none!important}*,*:before,*:after{box-sizing:border-box}h1,h2,h3,p,ul,ol,dl,dd,fieldset,legend,pre{margin:0;padding:0;border:0;min-inline-size:0}ul,ol{list-style:none}code,.code,pre{font-family:var(--mono);font-size:.93em}rally-key-list,rally-key-view,rally-audit-view,rally-policy-view,rally-usage-view{display:block}.muted{color:var(--muted)}.small{font-size:13px}.long{overflow-wrap:anywhere;white-space:pre-line}.visually-hidden{position:absolute;inline-size:1px;block-size:1px;overflow:hidden;clip-path:inset(50%);white-space:nowrap}.icon{flex:none;vertical-align:-.15em}time[title],span[title]{text-decoration:none}:focus-visible{outline:2px solid var(--accent);outline-offset:2px}.title:focus-visible,.dialog-title:focus-visible,.problem:focus-visible{outline:none}button,input,select,textarea{font:inherit;color:inherit}.button{display:inline-flex;align-items:center;justify-content:center;gap:6px;min-block-size:34px;padding:5px 12px;border:1px solid var(--border);border-radius:calc(var(--radius) - 2px);background:var(--surface);font-weight:550;white-space:nowrap;cursor:pointer}.button:hover:not(:disabled){background:var(--sunken);border-color:var(--control)}.button.primary{background:var(--accent);border-color:var(--accent);color:var(--on-accent)}.button.primary:hover:not(:disabled){background:color-mix(in oklab,var(--accent) 88%,var(--text))}.button.danger{background:light-dark(#c0262f,#ff9a9a);border-color:transparent;color:light-dark(#fff,#2a0c0d)}.button.danger:hover:not(:disabled){background:light-dark(#a51d26,#ffb3b3)}.button.danger-quiet{color:var(--bad)}.button:disabled{cursor:default;background:var(--sunken);border-color:var(--border);color:color-mix(in oklab,var(--muted) 75%,var(--sunken))}.icon-button{display:inline-grid;place-items:center;inline-size:32px;block-size:32px;padding:0;border:0;border-radius:6px;background:none;color:var(--muted);cursor:pointer}.icon-button:hover{background:var(--sunken);color:var(--text)}.link{display:inline;padding:0;border:0;background:none;color:inherit;text-align:start;text-decoration:none;cursor:pointer}.link:hover{text-decoration:underline;text-underline-offset:3px}a.plain-link{color:var(--accent)}input:where([type=text],[type=search],[type=password],[type=number],[type=date],[type=datetime-local]),select,textarea{block-size:36px;max-inline-size:100%;padding:5px 10px;border:1px solid var(--control);border-radius:calc(var(--radius) - 2px);background:var(--surface)}textarea{block-size:auto;resize:vertical;display:block}::placeholder{color:var(--muted);opacity:1}[aria-invalid=true]{border-color:var(--bad)!important;box-shadow:inset 0 0 0 1px var(--bad)}input[type=radio],input[type=checkbox]{accent-color:var(--accent);inline-size:16px;block-size:16px;margin:2px 0 0;flex:none}.view-head{display:flex;flex-wrap:wrap;justify-content:space-between;align-items:flex-start;gap:12px 24px;margin-block-end:20px}.view-head>div:first-child{flex:1 1 260px;min-inline-size:0}.title{font-size:22px;line-height:1.3;font-weight:650;letter-spacing:-.01em;overflow-wrap:anywhere}.title .badge{vertical-align:3px;margin-inline-start:6px;letter-spacing:0}.section-title{display:flex;align-items:center;gap:8px;font-size:14px;font-weight:650}.crumb{margin-block-end:8px;color:var(--muted)}.actions{display:flex;flex-wrap:wrap;gap:8px}.slow{margin-block:12px;color:var(--muted)}.card{margin-block-end:16px;padding:16px;border:1px solid var(--border);border-radius:var(--radius);background:var(--surface)}.card>.section-title:not(:last-child){margin-block-end:12px}.card-head{display:flex;flex-wrap:wrap;align-items:center;justify-content:space-between;gap:8px;margin-block-end:12px}.columns{display:grid;grid-template-columns:minmax(0,1fr) 300px;gap:16px;align-items:start}.column{min-inline-size:0}.filters{display:flex;flex-wrap:wrap;gap:2px;border-block-end:1px solid var(--border);margin-block-end:12px}.filter{padding:7px 12px;margin-block-end:-1px;border:0;border-block-end:2px solid transparent;background:none;color:var(--muted);font-weight:550;cursor:pointer}.filter:hover{color:var(--text)}.filter[aria-pressed=true]{color:var(--text);border-block-end-color:var(--accent)}.count{margin-inline-start:4px;padding:1px 7px;border-radius:99px;background:var(--sunken);color:var(--muted);font-size:12px;font-variant-numeric:tabular-nums}.tools{display:flex;flex-wrap:wrap;gap:10px;align-items:end;margin-block-end:10px}.search{position:relative;flex:1 1 240px;color:var(--muted)}.search .icon{position:absolute;inset-inline-start:10px;inset-block-start:10px}.search input{inline-size:100%;padding-inline-start:32px;color:var(--text)}.select{display:flex;flex-direction:column;gap:2px;min-inline-size:0}.select label{font-size:12px;color:var(--muted)}.chips{display:flex;flex-wrap:wrap;align-items:center;gap:6px;margin-block-end:14px}.chips-label{margin-inline-end:4px;font-size:12px;color:var(--muted)}.chip{padding:3px 6px 3px 10px;border:1px solid var(--border);border-radius:99px;background:var(--surface);font-size:13px;cursor:pointer}.chip:hover{border-color:var(--control)}.chip.none{color:var(--muted);background:none}.chip[aria-pressed=true]{background:var(--accent-soft);border-color:var(--accent)}.chip[aria-pressed=true] .count{background:var(--surface)}.keys{inline-size:100%;border-collapse:separate;border-spacing:0;border:1px solid var(--border);border-radius:var(--radius);background:var(--surface)}.keys.busy{border-block-start-color:var(--accent);cursor:progress}.keys th,.keys td{padding:10px 12px;text-align:start;vertical-align:top;font-weight:400}.keys thead th{padding-block:6px;vertical-align:middle;background:var(--sunken);border-block-end:1px solid var(--border);font-size:12px;color:var(--muted);white-space:nowrap}.keys thead th:first-child{border-start-start-radius:var(--radius)}.keys thead th:last-child{border-start-end-radius:var(--radius)}.key+.key>*{border-block-start:1px solid var(--border)}.key{cursor:pointer}.key:hover>*{background:color-mix(in oklab,var(--sunken) 70%,var(--surface))}.key:last-child>:first-child{border-end-start-radius:var(--radius)}.key:last-child>:last-child{border-end-end-radius:var(--radius)}.cell-name{min-inline-size:220px;max-inline-size:380px}.key-name{font-weight:600;overflow-wrap:anywhere}.key.inactive .key-name{color:var(--muted)}.description{display:block;overflow:hidden;text-overflow:ellipsis;white-space:nowrap;color:var(--muted)}.under{display:flex;flex-wrap:wrap;align-items:center;gap:4px 8px;margin-block-start:2px}.hint{color:var(--muted);font-size:12px}.cell-created .creator{display:block;max-inline-size:170px;overflow:hidden;text-overflow:ellipsis;white-space:nowrap;font-size:13px}.keys td{white-space:nowrap}.sort{padding:2px 4px;margin-inline-start:-4px;border:0;border-radius:4px;background:none;color:inherit;cursor:pointer}.sort:hover{color:var(--text)}[aria-sort=ascending] .sort:after{content:" \\2191"}[aria-sort=descending] .sort:after{content:" \\2193"}[aria-sort=ascending] .sort,[aria-sort=descending] .sort{color:var(--text);font-weight:600}.pages{display:flex;flex-wrap:wrap;align-items:center;justify-content:flex-end;gap:8px;margin-block-start:12px}.pages>:first-child{flex:1;white-space:nowrap}.badge,.mark,.scope{display:inline-block;padding:0 8px;border-radius:99px;font-size:12px;line-height:20px;font-weight:550;white-space:nowrap}.badge.active{background:var(--good-soft);color:var(--good)}.badge.suspended{background:var(--warn-soft);color:var(--warn)}.badge.expired,.badge.revoked{background:var(--sunken);color:var(--muted)}.badge.expired{background:var(--bad-soft);color:var(--bad)}.mark{background:var(--warn-soft);color:var(--warn)}.mark.quiet{background:var(--sunken);color:var(--muted)}.scope{padding:0;border-radius:0;font-size:14px;font-weight:400}.scope.admin{color:var(--warn);font-weight:550}.spark{display:inline-flex;align-items:flex-end;gap:8px}.spark-base{stroke:var(--border)}.spark-bars{fill:var(--accent)}.spark-total{min-inline-size:3ch;font-size:12px;color:var(--muted);font-variant-numeric:tabular-nums}.key.inactive .spark-bars{fill:var(--control)}.empty{max-inline-size:560px;margin:24px auto;padding:32px;border:1px dashed var(--control);border-radius:calc(var(--radius) + 4px);text-align:center}.empty.small{border-style:solid;border-color:var(--border);padding:28px}.empty h2{font-size:17px;margin-block-end:6px}.empty-icon{display:inline-grid;place-items:center;inline-size:44px;block-size:44px;margin-block-end:12px;border-radius:50%;background:var(--accent-soft);color:var(--accent)}.empty ul{margin-block:16px 20px;text-align:start;display:grid;gap:8px}.empty li{display:flex;gap:8px}.empty li .icon{color:var(--good);margin-block-start:3px}.empty .button{margin-block-start:12px}.skeleton{border:1px solid var(--border);border-radius:var(--radius)}.skeleton-row{display:flex;gap:24px;padding:18px 12px}.skeleton-row+.skeleton-row{border-block-start:1px solid var(--border)}.skeleton-row span{flex:1;block-size:12px;border-radius:4px;background:var(--sunken)}.skeleton-row span:first-child{flex:2}.facts{display:grid;gap:12px}.facts dt{font-size:12px;color:var(--muted)}.facts dd{overflow-wrap:anywhere}.fact-hint{display:block;font-size:13px;color:var(--muted)}.id-line{display:flex;align-items:center;gap:4px}.id{font-size:12px}.meter{display:block;appearance:none;inline-size:100%;block-size:6px;margin-block:6px;border:0;border-radius:3px;overflow:hidden;background:var(--sunken);box-shadow:inset 0 0 0 1px var(--border)}.meter::-webkit-progress-bar{background:var(--sunken)}.meter::-webkit-progress-value{background:var(--accent)}.meter::-moz-progress-bar{background:var(--accent)}.rotation{border-color:var(--accent)}.rotation-state{display:flex;gap:8px;margin-block-start:4px;font-weight:550}.rotation-state .icon{margin-block-start:3px}.rotation-state.warn{color:var(--warn)}.rotation-state.good{color:var(--good)}.programs{margin-block-start:10px;border-block-start:1px solid var(--border)}.programs li{display:grid;grid-template-columns:210px minmax(0,1fr) auto;gap:4px 12px;padding-block:8px;border-block-end:1px solid var(--border)}.programs li:last-child{border:0;padding-block-end:0}.program-state.old{color:var(--warn)}.program-state.moved{color:var(--good)}.program-state.silent{color:var(--muted)}.program{display:inline-block;min-inline-size:100px;overflow-wrap:anywhere}.timeline{display:grid;gap:14px}.timeline li{display:grid;grid-template-columns:10px minmax(0,1fr);gap:10px}.timeline+.button{margin-block-start:14px}.dot{inline-size:8px;block-size:8px;margin-block-start:7px;border-radius:50%;background:var(--control)}.dot.good{background:var(--good)}.dot.bad{background:var(--bad)}.dot.warn{background:var(--warn)}.dot.accent{background:var(--accent)}.plain{inline-size:100%;border-collapse:collapse}.plain th,.plain td{padding:6px 12px 6px 0;text-align:start;vertical-align:top;font-weight:400}.plain thead th{font-size:12px;color:var(--muted);white-space:nowrap}.plain tbody tr>*{border-block-start:1px solid var(--border)}.plain .number{text-align:end;font-variant-numeric:tabular-nums}.plain time{white-space:nowrap}.scroll{overflow-x:auto}.compare td,.compare th{min-inline-size:90px;overflow-wrap:anywhere}.compare .differs{font-weight:600}.chart-numbers{display:flex;gap:24px;margin-block-end:8px}.big{font-size:22px;font-weight:650;font-variant-numeric:tabular-nums}.refused{color:var(--bad)}.chart-frame{display:grid;grid-template-columns:auto minmax(0,1fr);gap:4px 8px}.chart{inline-size:100%;block-size:160px;display:block}.chart-scale{display:flex;flex-direction:column;justify-content:space-between;font-size:12px;line-height:1;text-align:end;color:var(--muted);font-variant-numeric:tabular-nums}.chart-axis{grid-column:2;display:flex;justify-content:space-between;gap:8px;font-size:12px;color:var(--muted)}.chart-grid{stroke:var(--border);vector-effect:non-scaling-stroke}.bucket-back{fill:transparent}.bucket.selected .bucket-back{fill:color-mix(in oklab,var(--accent) 14%,transparent)}.bar{fill:currentColor}.bar.accepted,.swatch.accepted{color:var(--accent)}.bar.expired,.swatch.expired{color:light-dark(#a8324a,#ff8fa3)}.bar.scope,.swatch.scope{color:light-dark(#c77700,#f0b95b)}.bar.revoked,.swatch.revoked{color:light-dark(#c0262f,#ff6b6b)}.bar.suspended,.swatch.suspended{color:light-dark(#8d6e20,#cdb26a)}.bar.address,.swatch.address{color:light-dark(#8f3fa8,#d79aec)}.bar.rateLimit,.swatch.rateLimit{color:light-dark(#0d7a86,#63d1dd)}.bar.quota,.swatch.quota{color:light-dark(#5c6470,#aab3c2)}.chart-readout{min-block-size:21px;margin-block:8px;font-size:13px;color:var(--muted)}.chart-readout b{color:var(--text)}.legend{display:flex;flex-wrap:wrap;gap:4px 16px;font-size:13px}.swatch{display:inline-block;inline-size:10px;block-size:10px;margin-inline-end:6px;border-radius:2px;background:currentColor}.chart-table{margin-block-start:10px;font-size:13px}.chart-table summary{color:var(--muted);cursor:pointer}.chart-table .scroll{max-block-size:320px;overflow:auto}.note{display:flex;gap:8px;margin-block:12px;padding:8px 12px;border-radius:calc(var(--radius) - 2px);background:var(--sunken)}.note.block{display:block}.note .icon{margin-block-start:3px}.note.warn{background:var(--warn-soft)}.note.warn .icon{color:var(--warn)}.note.good{background:var(--good-soft)}.caller-list{margin-block-start:4px;display:grid;gap:2px}.note .muted,.problem .muted{color:color-mix(in oklab,var(--muted) 70%,var(--text))}.problem{display:flex;gap:10px;margin-block:12px;padding:12px 14px;border:1px solid var(--bad);border-radius:var(--radius);background:var(--bad-soft);text-align:start}.problem>.icon{margin-block-start:3px;color:var(--bad)}.problem.warn{border-color:var(--warn);background:var(--warn-soft)}.problem.warn>.icon{color:var(--warn)}.problem-text{min-inline-size:0;overflow-wrap:anywhere}.problem-title{font-weight:650}.problem .button{margin-block-start:8px;font-variant-numeric:tabular-nums}.request-id{font-size:12px;color:color-mix(in oklab,var(--muted) 70%,var(--text))}.problem-fields{list-style:disc;padding-inline-start:18px}.dialog{inline-size:min(520px,100vw - 24px);max-block-size:min(92vh,900px);padding:0;border:1px solid var(--border);border-radius:calc(var(--radius) + 4px);background:var(--surface);color:var(--text);box-shadow:0 16px 48px #0a0e1947;text-align:start}.dialog.wide{inline-size:min(640px,100vw - 24px)}.dialog[open]{display:flex;flex-direction:column}.dialog::backdrop{background:#0a0e1973}.dialog-head{display:flex;align-items:flex-start;justify-content:space-between;gap:12px;padding:16px 20px 8px}.dialog-title{font-size:17px;font-weight:650;overflow-wrap:anywhere}.dialog-body{padding:0 20px 16px;overflow-y:auto}.dialog-foot{display:flex;flex-wrap:wrap;justify-content:flex-end;gap:8px;padding:12px 20px;border-block-start:1px solid var(--border)}.dialog-foot .confirm{flex:1 1 260px;display:flex;gap:8px;align-items:flex-start;padding-block:5px}.field{margin-block:14px}.field>label,.field>legend{display:block;margin-block-end:4px;font-weight:600}.optional{font-weight:400;font-size:13px;color:var(--muted)}.field>input,.field>textarea{inline-size:100%}.hint-text{margin-block-start:4px;font-size:13px;color:var(--muted)}.field-error{display:flex;gap:6px;margin-block-start:4px;font-size:13px;color:var(--bad)}.field-error .icon{margin-block-start:2px}.choices{border:1px solid var(--border);border-radius:var(--radius)}.choice{display:flex;gap:10px;padding:9px 12px;cursor:pointer}.choice+.choice{border-block-start:1px solid var(--border)}.choice:has(:checked){background:var(--accent-soft)}.choice b,.more b{font-weight:600}.choice-hint{display:block;font-size:13px;color:color-mix(in oklab,var(--muted) 80%,var(--text))}.off{cursor:not-allowed}.choice.off b{font-weight:400;color:var(--muted)}.segments{display:flex;flex-wrap:wrap;gap:6px}.segment{position:relative;display:inline-flex;align-items:center;min-block-size:34px;padding:4px 12px;border:1px solid var(--control);border-radius:calc(var(--radius) - 2px);background:var(--surface);cursor:pointer}.segment input{position:absolute;inset:0;inline-size:100%;block-size:100%;margin:0;opacity:0;cursor:inherit}.segment:has(:checked),.segment[aria-pressed=true]{border-color:var(--accent);background:var(--accent-soft);box-shadow:inset 0 0 0 1px var(--accent);font-weight:550}.segment:has(:focus-visible){outline:2px solid var(--accent);outline-offset:2px}.segment.off{border-style:dashed;border-color:var(--border);color:var(--muted);cursor:not-allowed;text-decoration:line-through}.segments.small .segment{min-block-size:28px;padding:2px 9px;border-color:var(--border);font-size:13px}.segments.small .segment[aria-pressed=true]{border-color:var(--accent)}.inline-field{display:flex;flex-wrap:wrap;align-items:center;gap:8px;margin-block-start:10px}.pair{display:flex;flex-wrap:wrap;align-items:center;gap:8px}.pair .number{inline-size:130px}.more{margin-block:14px;padding:10px 12px;border:1px solid var(--border);border-radius:var(--radius)}.more summary{cursor:pointer}.steps{margin-block:10px;padding-inline-start:20px;list-style:decimal;color:var(--muted)}.suggestion{display:flex;flex-wrap:wrap;align-items:center;justify-content:space-between;gap:8px;margin-block:12px}.suggestion>span{flex:1 1 220px}.secret{display:flex;flex-wrap:wrap;gap:8px;margin-block:12px 18px}.secret input{flex:1 1 260px;min-inline-size:0;min-block-size:40px;background:var(--sunken);font-size:14px;text-overflow:ellipsis}.secret .button{min-block-size:40px}.tabs{display:flex;gap:2px;margin-block:6px 0}.tab{padding:4px 10px;border:0;border-block-end:2px solid transparent;background:none;color:var(--muted);cursor:pointer}.tab[aria-selected=true]{color:var(--text);border-block-end-color:var(--accent);font-weight:550}.snippet{position:relative;border:1px solid var(--border);border-radius:calc(var(--radius) - 2px);background:var(--sunken)}.snippet pre{overflow-x:auto;padding:10px 44px 10px 12px;font-size:12.5px;direction:ltr;text-align:left}.snippet rally-copy-button{position:absolute;inset-block-start:4px;inset-inline-end:4px;background:var(--sunken)}.event-list{border:1px solid var(--border);border-radius:var(--radius);background:var(--surface)}.event-list>li{display:grid;grid-template-columns:10px minmax(0,1fr) auto;gap:4px 10px;padding:11px 14px}.event-list>li+li{border-block-start:1px solid var(--border)}.event-when{text-align:end;font-size:13px;color:var(--muted)}.rules{display:grid;grid-template-columns:repeat(2,minmax(0,1fr));gap:0 24px}.rules .field{margin-block:8px}.rules .check{display:flex;gap:8px}.form-foot+.scroll{margin-block-start:16px}.event-when .link{color:var(--accent)}.form-foot{display:flex;flex-wrap:wrap;gap:8px 16px;align-items:center;margin-block-start:12px}.verdict{display:flex;gap:8px;align-items:flex-start;font-weight:600}.verdict .icon{margin-block-start:3px}.verdict.warn{color:var(--warn)}.verdict.good{color:var(--good)}@container (max-width: 860px){.columns{grid-template-columns:minmax(0,1fr)}.column.side{order:-1}.side .facts{grid-template-columns:repeat(auto-fill,minmax(130px,1fr))}.keys,.keys tbody,.keys tr,.keys th,.keys td{display:block}.keys thead{display:none}.key{display:grid!important;grid-template-columns:repeat(auto-fill,minmax(140px,1fr));gap:6px 12px;padding:12px;position:relative}.key+.key{border-block-start:1px solid var(--border)}.key>*,.key+.key>*{border:0!important}.keys th,.keys td{padding:0}.keys .cell-name{grid-column:1 / -1;max-inline-size:none;padding-inline-end:90px}.keys .cell-status{position:absolute;inset-block-start:12px;inset-inline-end:12px}.keys td:not(.cell-status):before{content:attr(data-label);display:block;font-size:12px;color:var(--muted)}.rules{grid-template-columns:minmax(0,1fr)}}@container (max-width: 560px){.tools .select{flex:1 1 130px}.tools .select select{inline-size:100%}.filters{flex-wrap:nowrap;overflow-x:auto}.filter{padding-inline:8px;white-space:nowrap}.actions{inline-size:100%}.actions .button{flex:1 1 auto}.programs li{grid-template-columns:minmax(0,1fr)}.event-list>li{grid-template-columns:10px minmax(0,1fr)}.event-when{grid-column:2;text-align:start}}@media(max-width:480px){.dialog-head,.dialog-body,.dialog-foot{padding-inline:14px}}@media(prefers-reduced-motion:reduce){*{transition:none!important}}@media(forced-colors:active){.segment:has(:checked),.segment[aria-pressed=true],.filter[aria-pressed=true],.chip[aria-pressed=true]{outline:2px solid Highlight}.bar,.spark-bars{fill:CanvasText}}`;var Rr=5e3,z=class extends j{constructor(){super(...arguments);this.baseUrl="";this.keyId="";this.keyUrl="";this.listUrl="";this.pageSize=50;this.theme="";this.readOnly=!1;this.creating=!1;this.me=new L(this);this.#i=!1}static{this.styles=Rs}#e;willUpdate(e){(!this.hasUpdated||e.has("baseUrl")||e.has("getToken")&&this.me.error!==null)&&(this.#e=new Le(this.#t(),()=>this.#n()),this.me.run(()=>this.api.me()))}#t(){return this.baseUrl===""?location.origin:new URL(this.baseUrl,location.href).origin}get api(){return this.#e??=new Le(this.#t(),()=>this.#n()),this.#e}get#r(){return this.renderRoot.querySelector("rally-key-list")}get#s(){return this.renderRoot.querySelector("rally-key-view")}async#n(){let e=Date.now()+Rr;do{if(this.getToken!==void 0)return this.getToken();let s,i={respondWith:n=>s=n};if(this.dispatchEvent(new CustomEvent("token-request",{detail:i,bubbles:!0,composed:!0})),s!==void 0)return s;await new Promise(n=>setTimeout(n,100))}while(Date.now()<e);throw console.warn(`<rally-api-keys>: ${l.shell.noToken}`),new Error(l.shell.noToken)}async reload(){await this.me.run(()=>this.api.me()),await Promise.all([this.#r?.reload(),this.#s?.reload()])}render(){let{value:e,error:s}=this.me,i=!this.readOnly&&e!==void 0&&C(e.scopes)==="admin",n=e?.scopes??"read",{api:a}=this;return o`<div
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
${s===null||s.isSignInNeeded?c:k(s,()=>this.reload())}
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
</div>`}#i;#a(e){let s=this.keyId;e!==s&&(this.keyId=e,this.dispatchEvent(new CustomEvent("navigated",{detail:{id:e===""?null:e},bubbles:!0,composed:!0})))}updated(e){let s=e.get("keyId");if(this.keyId!==""||typeof s!="string"||s==="")return;let i=this.#r;this.#i&&i?.reload(),this.#i=!1,i?.focusKey(s)}#o(e,s){s.stopPropagation(),this.#i=!0,this.keyId===""&&this.#r?.reload();let i={id:s.detail};this.dispatchEvent(new CustomEvent(e,{detail:i,bubbles:!0,composed:!0}))}};p([h({attribute:"base-url"})],z.prototype,"baseUrl",2),p([h({attribute:"key-id"})],z.prototype,"keyId",2),p([h({attribute:"key-url"})],z.prototype,"keyUrl",2),p([h({attribute:"list-url"})],z.prototype,"listUrl",2),p([h({attribute:"page-size",type:Number})],z.prototype,"pageSize",2),p([h({reflect:!0})],z.prototype,"theme",2),p([h({attribute:"read-only",type:Boolean})],z.prototype,"readOnly",2),p([h({attribute:!1})],z.prototype,"getToken",2),p([m()],z.prototype,"creating",2);$("rally-api-keys",z);export{dt as a,o as b,c,j as d,h as e,m as f,l as g,Le as h,A as i,L as j,J as k,be as l,E as m,$ as n,f as o,T as p,k as q,b as r,M as s,$e as t,C as u,St as v,re as w,ls as x,tt as y,G as z,ys as A,Ss as B,vo as C,Es as D,Ts as E,Ps as F,_r as G,Pr as H,Rs as I,z as J};
