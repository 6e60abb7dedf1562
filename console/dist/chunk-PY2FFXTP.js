var ur=Object.defineProperty;var pr=Object.getOwnPropertyDescriptor;var u=(t,r,e,s)=>{for(var n=s>1?void 0:s?pr(r,e):r,i=t.length-1,o;i>=0;i--)(o=t[i])&&(n=(s?o(r,e,n):o(n))||n);return s&&n&&ur(r,e,n),n};var rt=globalThis,nt=rt.ShadowRoot&&(rt.ShadyCSS===void 0||rt.ShadyCSS.nativeShadow)&&"adoptedStyleSheets"in Document.prototype&&"replace"in CSSStyleSheet.prototype,Et=Symbol(),rs=new WeakMap,Ue=class{constructor(r,e,s){if(this._$cssResult$=!0,s!==Et)throw Error("CSSResult is not constructable. Use `unsafeCSS` or `css` instead.");this.cssText=r,this.t=e}get styleSheet(){let r=this.o,e=this.t;if(nt&&r===void 0){let s=e!==void 0&&e.length===1;s&&(r=rs.get(e)),r===void 0&&((this.o=r=new CSSStyleSheet).replaceSync(this.cssText),s&&rs.set(e,r))}return r}toString(){return this.cssText}},ns=t=>new Ue(typeof t=="string"?t:t+"",void 0,Et),St=(t,...r)=>{let e=t.length===1?t[0]:r.reduce((s,n,i)=>s+(o=>{if(o._$cssResult$===!0)return o.cssText;if(typeof o=="number")return o;throw Error("Value passed to 'css' function must be a 'css' function result: "+o+". Use 'unsafeCSS' to pass non-literal values, but take care to ensure page security.")})(n)+t[i+1],t[0]);return new Ue(e,t,Et)},is=(t,r)=>{if(nt)t.adoptedStyleSheets=r.map(e=>e instanceof CSSStyleSheet?e:e.styleSheet);else for(let e of r){let s=document.createElement("style"),n=rt.litNonce;n!==void 0&&s.setAttribute("nonce",n),s.textContent=e.cssText,t.appendChild(s)}},Tt=nt?t=>t:t=>t instanceof CSSStyleSheet?(r=>{let e="";for(let s of r.cssRules)e+=s.cssText;return ns(e)})(t):t;var{is:hr,defineProperty:mr,getOwnPropertyDescriptor:yr,getOwnPropertyNames:fr,getOwnPropertySymbols:$r,getPrototypeOf:gr}=Object,it=globalThis,os=it.trustedTypes,br=os?os.emptyScript:"",vr=it.reactiveElementPolyfillSupport,Me=(t,r)=>t,Ie={toAttribute(t,r){switch(r){case Boolean:t=t?br:null;break;case Object:case Array:t=t==null?t:JSON.stringify(t)}return t},fromAttribute(t,r){let e=t;switch(r){case Boolean:e=t!==null;break;case Number:e=t===null?null:Number(t);break;case Object:case Array:try{e=JSON.parse(t)}catch{e=null}}return e}},ot=(t,r)=>!hr(t,r),as={attribute:!0,type:String,converter:Ie,reflect:!1,useDefault:!1,hasChanged:ot};Symbol.metadata??=Symbol("metadata"),it.litPropertyMetadata??=new WeakMap;var se=class extends HTMLElement{static addInitializer(r){this._$Ei(),(this.l??=[]).push(r)}static get observedAttributes(){return this.finalize(),this._$Eh&&[...this._$Eh.keys()]}static createProperty(r,e=as){if(e.state&&(e.attribute=!1),this._$Ei(),this.prototype.hasOwnProperty(r)&&((e=Object.create(e)).wrapped=!0),this.elementProperties.set(r,e),!e.noAccessor){let s=Symbol(),n=this.getPropertyDescriptor(r,s,e);n!==void 0&&mr(this.prototype,r,n)}}static getPropertyDescriptor(r,e,s){let{get:n,set:i}=yr(this.prototype,r)??{get(){return this[e]},set(o){this[e]=o}};return{get:n,set(o){let c=n?.call(this);i?.call(this,o),this.requestUpdate(r,c,s)},configurable:!0,enumerable:!0}}static getPropertyOptions(r){return this.elementProperties.get(r)??as}static _$Ei(){if(this.hasOwnProperty(Me("elementProperties")))return;let r=gr(this);r.finalize(),r.l!==void 0&&(this.l=[...r.l]),this.elementProperties=new Map(r.elementProperties)}static finalize(){if(this.hasOwnProperty(Me("finalized")))return;if(this.finalized=!0,this._$Ei(),this.hasOwnProperty(Me("properties"))){let e=this.properties,s=[...fr(e),...$r(e)];for(let n of s)this.createProperty(n,e[n])}let r=this[Symbol.metadata];if(r!==null){let e=litPropertyMetadata.get(r);if(e!==void 0)for(let[s,n]of e)this.elementProperties.set(s,n)}this._$Eh=new Map;for(let[e,s]of this.elementProperties){let n=this._$Eu(e,s);n!==void 0&&this._$Eh.set(n,e)}this.elementStyles=this.finalizeStyles(this.styles)}static finalizeStyles(r){let e=[];if(Array.isArray(r)){let s=new Set(r.flat(1/0).reverse());for(let n of s)e.unshift(Tt(n))}else r!==void 0&&e.push(Tt(r));return e}static _$Eu(r,e){let s=e.attribute;return s===!1?void 0:typeof s=="string"?s:typeof r=="string"?r.toLowerCase():void 0}constructor(){super(),this._$Ep=void 0,this.isUpdatePending=!1,this.hasUpdated=!1,this._$Em=null,this._$Ev()}_$Ev(){this._$ES=new Promise(r=>this.enableUpdating=r),this._$AL=new Map,this._$E_(),this.requestUpdate(),this.constructor.l?.forEach(r=>r(this))}addController(r){(this._$EO??=new Set).add(r),this.renderRoot!==void 0&&this.isConnected&&r.hostConnected?.()}removeController(r){this._$EO?.delete(r)}_$E_(){let r=new Map,e=this.constructor.elementProperties;for(let s of e.keys())this.hasOwnProperty(s)&&(r.set(s,this[s]),delete this[s]);r.size>0&&(this._$Ep=r)}createRenderRoot(){let r=this.shadowRoot??this.attachShadow(this.constructor.shadowRootOptions);return is(r,this.constructor.elementStyles),r}connectedCallback(){this.renderRoot??=this.createRenderRoot(),this.enableUpdating(!0),this._$EO?.forEach(r=>r.hostConnected?.())}enableUpdating(r){}disconnectedCallback(){this._$EO?.forEach(r=>r.hostDisconnected?.())}attributeChangedCallback(r,e,s){this._$AK(r,s)}_$ET(r,e){let s=this.constructor.elementProperties.get(r),n=this.constructor._$Eu(r,s);if(n!==void 0&&s.reflect===!0){let i=(s.converter?.toAttribute!==void 0?s.converter:Ie).toAttribute(e,s.type);this._$Em=r,i==null?this.removeAttribute(n):this.setAttribute(n,i),this._$Em=null}}_$AK(r,e){let s=this.constructor,n=s._$Eh.get(r);if(n!==void 0&&this._$Em!==n){let i=s.getPropertyOptions(n),o=typeof i.converter=="function"?{fromAttribute:i.converter}:i.converter?.fromAttribute!==void 0?i.converter:Ie;this._$Em=n;let c=o.fromAttribute(e,i.type);this[n]=c??this._$Ej?.get(n)??c,this._$Em=null}}requestUpdate(r,e,s,n=!1,i){if(r!==void 0){let o=this.constructor;if(n===!1&&(i=this[r]),s??=o.getPropertyOptions(r),!((s.hasChanged??ot)(i,e)||s.useDefault&&s.reflect&&i===this._$Ej?.get(r)&&!this.hasAttribute(o._$Eu(r,s))))return;this.C(r,e,s)}this.isUpdatePending===!1&&(this._$ES=this._$EP())}C(r,e,{useDefault:s,reflect:n,wrapped:i},o){s&&!(this._$Ej??=new Map).has(r)&&(this._$Ej.set(r,o??e??this[r]),i!==!0||o!==void 0)||(this._$AL.has(r)||(this.hasUpdated||s||(e=void 0),this._$AL.set(r,e)),n===!0&&this._$Em!==r&&(this._$Eq??=new Set).add(r))}async _$EP(){this.isUpdatePending=!0;try{await this._$ES}catch(e){Promise.reject(e)}let r=this.scheduleUpdate();return r!=null&&await r,!this.isUpdatePending}scheduleUpdate(){return this.performUpdate()}performUpdate(){if(!this.isUpdatePending)return;if(!this.hasUpdated){if(this.renderRoot??=this.createRenderRoot(),this._$Ep){for(let[n,i]of this._$Ep)this[n]=i;this._$Ep=void 0}let s=this.constructor.elementProperties;if(s.size>0)for(let[n,i]of s){let{wrapped:o}=i,c=this[n];o!==!0||this._$AL.has(n)||c===void 0||this.C(n,void 0,i,c)}}let r=!1,e=this._$AL;try{r=this.shouldUpdate(e),r?(this.willUpdate(e),this._$EO?.forEach(s=>s.hostUpdate?.()),this.update(e)):this._$EM()}catch(s){throw r=!1,this._$EM(),s}r&&this._$AE(e)}willUpdate(r){}_$AE(r){this._$EO?.forEach(e=>e.hostUpdated?.()),this.hasUpdated||(this.hasUpdated=!0,this.firstUpdated(r)),this.updated(r)}_$EM(){this._$AL=new Map,this.isUpdatePending=!1}get updateComplete(){return this.getUpdateComplete()}getUpdateComplete(){return this._$ES}shouldUpdate(r){return!0}update(r){this._$Eq&&=this._$Eq.forEach(e=>this._$ET(e,this[e])),this._$EM()}updated(r){}firstUpdated(r){}};se.elementStyles=[],se.shadowRootOptions={mode:"open"},se[Me("elementProperties")]=new Map,se[Me("finalized")]=new Map,vr?.({ReactiveElement:se}),(it.reactiveElementVersions??=[]).push("2.1.2");var Ut=globalThis,ls=t=>t,at=Ut.trustedTypes,cs=at?at.createPolicy("lit-html",{createHTML:t=>t}):void 0,ys="$lit$",ae=`lit$${Math.random().toFixed(9).slice(2)}$`,fs="?"+ae,wr=`<${fs}>`,ye=document,Ne=()=>ye.createComment(""),De=t=>t===null||typeof t!="object"&&typeof t!="function",Mt=Array.isArray,kr=t=>Mt(t)||typeof t?.[Symbol.iterator]=="function",Rt=`[ 	
\f\r]`,Oe=/<(?:(!--|\/[^a-zA-Z])|(\/?[a-zA-Z][^>\s]*)|(\/?$))/g,ds=/-->/g,us=/>/g,he=RegExp(`>|${Rt}(?:([^\\s"'>=/]+)(${Rt}*=${Rt}*(?:[^ 	
\f\r"'\`<>=]|("|')|))|$)`,"g"),ps=/'/g,hs=/"/g,$s=/^(?:script|style|textarea|title)$/i,It=t=>(r,...e)=>({_$litType$:t,strings:r,values:e}),a=It(1),$e=It(2),Sn=It(3),fe=Symbol.for("lit-noChange"),d=Symbol.for("lit-nothing"),ms=new WeakMap,me=ye.createTreeWalker(ye,129);function gs(t,r){if(!Mt(t)||!t.hasOwnProperty("raw"))throw Error("invalid template strings array");return cs!==void 0?cs.createHTML(r):r}var xr=(t,r)=>{let e=t.length-1,s=[],n,i=r===2?"<svg>":r===3?"<math>":"",o=Oe;for(let c=0;c<e;c++){let p=t[c],v,f,b=-1,g=0;for(;g<p.length&&(o.lastIndex=g,f=o.exec(p),f!==null);)g=o.lastIndex,o===Oe?f[1]==="!--"?o=ds:f[1]!==void 0?o=us:f[2]!==void 0?($s.test(f[2])&&(n=RegExp("</"+f[2],"g")),o=he):f[3]!==void 0&&(o=he):o===he?f[0]===">"?(o=n??Oe,b=-1):f[1]===void 0?b=-2:(b=o.lastIndex-f[2].length,v=f[1],o=f[3]===void 0?he:f[3]==='"'?hs:ps):o===hs||o===ps?o=he:o===ds||o===us?o=Oe:(o=he,n=void 0);let $=o===he&&t[c+1].startsWith("/>")?" ":"";i+=o===Oe?p+wr:b>=0?(s.push(v),p.slice(0,b)+ys+p.slice(b)+ae+$):p+ae+(b===-2?c:$)}return[gs(t,i+(t[e]||"<?>")+(r===2?"</svg>":r===3?"</math>":"")),s]},He=class t{constructor({strings:r,_$litType$:e},s){let n;this.parts=[];let i=0,o=0,c=r.length-1,p=this.parts,[v,f]=xr(r,e);if(this.el=t.createElement(v,s),me.currentNode=this.el.content,e===2||e===3){let b=this.el.content.firstChild;b.replaceWith(...b.childNodes)}for(;(n=me.nextNode())!==null&&p.length<c;){if(n.nodeType===1){if(n.hasAttributes())for(let b of n.getAttributeNames())if(b.endsWith(ys)){let g=f[o++],$=n.getAttribute(b).split(ae),H=/([.?@])?(.*)/.exec(g);p.push({type:1,index:i,name:H[2],strings:$,ctor:H[1]==="."?_t:H[1]==="?"?Ct:H[1]==="@"?qt:Ae}),n.removeAttribute(b)}else b.startsWith(ae)&&(p.push({type:6,index:i}),n.removeAttribute(b));if($s.test(n.tagName)){let b=n.textContent.split(ae),g=b.length-1;if(g>0){n.textContent=at?at.emptyScript:"";for(let $=0;$<g;$++)n.append(b[$],Ne()),me.nextNode(),p.push({type:2,index:++i});n.append(b[g],Ne())}}}else if(n.nodeType===8)if(n.data===fs)p.push({type:2,index:i});else{let b=-1;for(;(b=n.data.indexOf(ae,b+1))!==-1;)p.push({type:7,index:i}),b+=ae.length-1}i++}}static createElement(r,e){let s=ye.createElement("template");return s.innerHTML=r,s}};function xe(t,r,e=t,s){if(r===fe)return r;let n=s!==void 0?e._$Co?.[s]:e._$Cl,i=De(r)?void 0:r._$litDirective$;return n?.constructor!==i&&(n?._$AO?.(!1),i===void 0?n=void 0:(n=new i(t),n._$AT(t,e,s)),s!==void 0?(e._$Co??=[])[s]=n:e._$Cl=n),n!==void 0&&(r=xe(t,n._$AS(t,r.values),n,s)),r}var Pt=class{constructor(r,e){this._$AV=[],this._$AN=void 0,this._$AD=r,this._$AM=e}get parentNode(){return this._$AM.parentNode}get _$AU(){return this._$AM._$AU}u(r){let{el:{content:e},parts:s}=this._$AD,n=(r?.creationScope??ye).importNode(e,!0);me.currentNode=n;let i=me.nextNode(),o=0,c=0,p=s[0];for(;p!==void 0;){if(o===p.index){let v;p.type===2?v=new Ke(i,i.nextSibling,this,r):p.type===1?v=new p.ctor(i,p.name,p.strings,this,r):p.type===6&&(v=new Lt(i,this,r)),this._$AV.push(v),p=s[++c]}o!==p?.index&&(i=me.nextNode(),o++)}return me.currentNode=ye,n}p(r){let e=0;for(let s of this._$AV)s!==void 0&&(s.strings!==void 0?(s._$AI(r,s,e),e+=s.strings.length-2):s._$AI(r[e])),e++}},Ke=class t{get _$AU(){return this._$AM?._$AU??this._$Cv}constructor(r,e,s,n){this.type=2,this._$AH=d,this._$AN=void 0,this._$AA=r,this._$AB=e,this._$AM=s,this.options=n,this._$Cv=n?.isConnected??!0}get parentNode(){let r=this._$AA.parentNode,e=this._$AM;return e!==void 0&&r?.nodeType===11&&(r=e.parentNode),r}get startNode(){return this._$AA}get endNode(){return this._$AB}_$AI(r,e=this){r=xe(this,r,e),De(r)?r===d||r==null||r===""?(this._$AH!==d&&this._$AR(),this._$AH=d):r!==this._$AH&&r!==fe&&this._(r):r._$litType$!==void 0?this.$(r):r.nodeType!==void 0?this.T(r):kr(r)?this.k(r):this._(r)}O(r){return this._$AA.parentNode.insertBefore(r,this._$AB)}T(r){this._$AH!==r&&(this._$AR(),this._$AH=this.O(r))}_(r){this._$AH!==d&&De(this._$AH)?this._$AA.nextSibling.data=r:this.T(ye.createTextNode(r)),this._$AH=r}$(r){let{values:e,_$litType$:s}=r,n=typeof s=="number"?this._$AC(r):(s.el===void 0&&(s.el=He.createElement(gs(s.h,s.h[0]),this.options)),s);if(this._$AH?._$AD===n)this._$AH.p(e);else{let i=new Pt(n,this),o=i.u(this.options);i.p(e),this.T(o),this._$AH=i}}_$AC(r){let e=ms.get(r.strings);return e===void 0&&ms.set(r.strings,e=new He(r)),e}k(r){Mt(this._$AH)||(this._$AH=[],this._$AR());let e=this._$AH,s,n=0;for(let i of r)n===e.length?e.push(s=new t(this.O(Ne()),this.O(Ne()),this,this.options)):s=e[n],s._$AI(i),n++;n<e.length&&(this._$AR(s&&s._$AB.nextSibling,n),e.length=n)}_$AR(r=this._$AA.nextSibling,e){for(this._$AP?.(!1,!0,e);r!==this._$AB;){let s=ls(r).nextSibling;ls(r).remove(),r=s}}setConnected(r){this._$AM===void 0&&(this._$Cv=r,this._$AP?.(r))}},Ae=class{get tagName(){return this.element.tagName}get _$AU(){return this._$AM._$AU}constructor(r,e,s,n,i){this.type=1,this._$AH=d,this._$AN=void 0,this.element=r,this.name=e,this._$AM=n,this.options=i,s.length>2||s[0]!==""||s[1]!==""?(this._$AH=Array(s.length-1).fill(new String),this.strings=s):this._$AH=d}_$AI(r,e=this,s,n){let i=this.strings,o=!1;if(i===void 0)r=xe(this,r,e,0),o=!De(r)||r!==this._$AH&&r!==fe,o&&(this._$AH=r);else{let c=r,p,v;for(r=i[0],p=0;p<i.length-1;p++)v=xe(this,c[s+p],e,p),v===fe&&(v=this._$AH[p]),o||=!De(v)||v!==this._$AH[p],v===d?r=d:r!==d&&(r+=(v??"")+i[p+1]),this._$AH[p]=v}o&&!n&&this.j(r)}j(r){r===d?this.element.removeAttribute(this.name):this.element.setAttribute(this.name,r??"")}},_t=class extends Ae{constructor(){super(...arguments),this.type=3}j(r){this.element[this.name]=r===d?void 0:r}},Ct=class extends Ae{constructor(){super(...arguments),this.type=4}j(r){this.element.toggleAttribute(this.name,!!r&&r!==d)}},qt=class extends Ae{constructor(r,e,s,n,i){super(r,e,s,n,i),this.type=5}_$AI(r,e=this){if((r=xe(this,r,e,0)??d)===fe)return;let s=this._$AH,n=r===d&&s!==d||r.capture!==s.capture||r.once!==s.once||r.passive!==s.passive,i=r!==d&&(s===d||n);n&&this.element.removeEventListener(this.name,this,s),i&&this.element.addEventListener(this.name,this,r),this._$AH=r}handleEvent(r){typeof this._$AH=="function"?this._$AH.call(this.options?.host??this.element,r):this._$AH.handleEvent(r)}},Lt=class{constructor(r,e,s){this.element=r,this.type=6,this._$AN=void 0,this._$AM=e,this.options=s}get _$AU(){return this._$AM._$AU}_$AI(r){xe(this,r)}};var Ar=Ut.litHtmlPolyfillSupport;Ar?.(He,Ke),(Ut.litHtmlVersions??=[]).push("3.3.3");var bs=(t,r,e)=>{let s=e?.renderBefore??r,n=s._$litPart$;if(n===void 0){let i=e?.renderBefore??null;s._$litPart$=n=new Ke(r.insertBefore(Ne(),i),i,void 0,e??{})}return n._$AI(t),n};var Ot=globalThis,Q=class extends se{constructor(){super(...arguments),this.renderOptions={host:this},this._$Do=void 0}createRenderRoot(){let r=super.createRenderRoot();return this.renderOptions.renderBefore??=r.firstChild,r}update(r){let e=this.render();this.hasUpdated||(this.renderOptions.isConnected=this.isConnected),super.update(r),this._$Do=bs(e,this.renderRoot,this.renderOptions)}connectedCallback(){super.connectedCallback(),this._$Do?.setConnected(!0)}disconnectedCallback(){super.disconnectedCallback(),this._$Do?.setConnected(!1)}render(){return fe}};Q._$litElement$=!0,Q.finalized=!0,Ot.litElementHydrateSupport?.({LitElement:Q});var Er=Ot.litElementPolyfillSupport;Er?.({LitElement:Q});(Ot.litElementVersions??=[]).push("4.2.2");var Sr={attribute:!0,type:String,converter:Ie,reflect:!1,hasChanged:ot},Tr=(t=Sr,r,e)=>{let{kind:s,metadata:n}=e,i=globalThis.litPropertyMetadata.get(n);if(i===void 0&&globalThis.litPropertyMetadata.set(n,i=new Map),s==="setter"&&((t=Object.create(t)).wrapped=!0),i.set(e.name,t),s==="accessor"){let{name:o}=e;return{set(c){let p=r.get.call(this);r.set.call(this,c),this.requestUpdate(o,p,t,!0,c)},init(c){return c!==void 0&&this.C(o,void 0,t,c),c}}}if(s==="setter"){let{name:o}=e;return function(c){let p=this[o];r.call(this,c),this.requestUpdate(o,p,t,!0,c)}}throw Error("Unsupported decorator location: "+s)};function h(t){return(r,e)=>typeof e=="object"?Tr(t,r,e):((s,n,i)=>{let o=n.hasOwnProperty(i);return n.constructor.createProperty(i,s),o?Object.getOwnPropertyDescriptor(n,i):void 0})(t,r,e)}function m(t){return h({...t,state:!0,attribute:!1})}var Rr=/\{[^{}]+\}/g,Pr=()=>typeof process=="object"&&Number.parseInt(process?.versions?.node?.substring(0,2))>=18&&process.versions.undici;function _r(){return Math.random().toString(36).slice(2,11)}function xs(t){let{baseUrl:r="",Request:e=globalThis.Request,fetch:s=globalThis.fetch,querySerializer:n,bodySerializer:i,pathSerializer:o,headers:c,requestInitExt:p=void 0,...v}={...t};p=Pr()?p:void 0,r=ks(r);let f=[];async function b(g,$){let{baseUrl:H,fetch:Gt=s,Request:Jt=e,headers:Zt,params:ke={},parseAs:Ze="json",querySerializer:Xe,bodySerializer:Xt=i??qr,pathSerializer:ar,body:es,middleware:lr=[],...vt}=$||{},wt=r;H&&(wt=ks(H)??r);let kt=typeof n=="function"?n:vs(n);Xe&&(kt=typeof Xe=="function"?Xe:vs({...typeof n=="object"?n:{},...Xe}));let ts=ar||o||Cr,xt=es===void 0?void 0:Xt(es,ws(c,Zt,ke.header)),cr=ws(xt===void 0||xt instanceof FormData?{}:{"Content-Type":"application/json"},c,Zt,ke.header),ie=[...f,...lr],dr={redirect:"follow",...v,...vt,body:xt,headers:cr},et,tt,oe=new Jt(Lr(g,{baseUrl:wt,params:ke,querySerializer:kt,pathSerializer:ts}),dr),S;for(let U in vt)U in oe||(oe[U]=vt[U]);if(ie.length){et=_r(),tt=Object.freeze({baseUrl:wt,fetch:Gt,parseAs:Ze,querySerializer:kt,bodySerializer:Xt,pathSerializer:ts});for(let U of ie)if(U&&typeof U=="object"&&typeof U.onRequest=="function"){let T=await U.onRequest({request:oe,schemaPath:g,params:ke,options:tt,id:et});if(T)if(T instanceof Jt)oe=T;else if(T instanceof Response){S=T;break}else throw new Error("onRequest: must return new Request() or Response() when modifying the request")}}if(!S){try{S=await Gt(oe,p)}catch(U){let T=U;if(ie.length)for(let pe=ie.length-1;pe>=0;pe--){let st=ie[pe];if(st&&typeof st=="object"&&typeof st.onError=="function"){let Le=await st.onError({request:oe,error:T,schemaPath:g,params:ke,options:tt,id:et});if(Le){if(Le instanceof Response){T=void 0,S=Le;break}if(Le instanceof Error){T=Le;continue}throw new Error("onError: must return new Response() or instance of Error")}}}if(T)throw T}if(ie.length)for(let U=ie.length-1;U>=0;U--){let T=ie[U];if(T&&typeof T=="object"&&typeof T.onResponse=="function"){let pe=await T.onResponse({request:oe,response:S,schemaPath:g,params:ke,options:tt,id:et});if(pe){if(!(pe instanceof Response))throw new Error("onResponse: must return new Response() when modifying the response");S=pe}}}}let ss=S.headers.get("Content-Length");if(S.status===204||oe.method==="HEAD"||ss==="0"&&!S.headers.get("Transfer-Encoding")?.includes("chunked"))return S.ok?{data:void 0,response:S}:{error:void 0,response:S};if(S.ok)return{data:await(async()=>{if(Ze==="stream")return S.body;if(Ze==="json"&&!ss){let T=await S.text();return T?JSON.parse(T):void 0}return await S[Ze]()})(),response:S};let At=await S.text();try{At=JSON.parse(At)}catch{}return{error:At,response:S}}return{request(g,$,H){return b($,{...H,method:g.toUpperCase()})},GET(g,$){return b(g,{...$,method:"GET"})},PUT(g,$){return b(g,{...$,method:"PUT"})},POST(g,$){return b(g,{...$,method:"POST"})},DELETE(g,$){return b(g,{...$,method:"DELETE"})},OPTIONS(g,$){return b(g,{...$,method:"OPTIONS"})},HEAD(g,$){return b(g,{...$,method:"HEAD"})},PATCH(g,$){return b(g,{...$,method:"PATCH"})},TRACE(g,$){return b(g,{...$,method:"TRACE"})},use(...g){for(let $ of g)if($){if(typeof $!="object"||!("onRequest"in $||"onResponse"in $||"onError"in $))throw new Error("Middleware must be an object with one of `onRequest()`, `onResponse() or `onError()`");f.push($)}},eject(...g){for(let $ of g){let H=f.indexOf($);H!==-1&&f.splice(H,1)}}}}function ct(t,r,e){if(r==null)return"";if(typeof r=="object")throw new Error("Deeply-nested arrays/objects aren’t supported. Provide your own `querySerializer()` to handle these.");return`${t}=${e?.allowReserved===!0?r:encodeURIComponent(r)}`}function As(t,r,e){if(!r||typeof r!="object")return"";let s=[],n={simple:",",label:".",matrix:";"}[e.style]||"&";if(e.style!=="deepObject"&&e.explode===!1){for(let c in r)s.push(c,e.allowReserved===!0?r[c]:encodeURIComponent(r[c]));let o=s.join(",");switch(e.style){case"form":return`${t}=${o}`;case"label":return`.${o}`;case"matrix":return`;${t}=${o}`;default:return o}}for(let o in r){let c=e.style==="deepObject"?`${t}[${o}]`:o;s.push(ct(c,r[o],e))}let i=s.join(n);return e.style==="label"||e.style==="matrix"?`${n}${i}`:i}function Es(t,r,e){if(!Array.isArray(r))return"";if(e.explode===!1){let i={form:",",spaceDelimited:"%20",pipeDelimited:"|"}[e.style]||",",o=(e.allowReserved===!0?r:r.map(c=>encodeURIComponent(c))).join(i);switch(e.style){case"simple":return o;case"label":return`.${o}`;case"matrix":return`;${t}=${o}`;default:return`${t}=${o}`}}let s={simple:",",label:".",matrix:";"}[e.style]||"&",n=[];for(let i of r)e.style==="simple"||e.style==="label"?n.push(e.allowReserved===!0?i:encodeURIComponent(i)):n.push(ct(t,i,e));return e.style==="label"||e.style==="matrix"?`${s}${n.join(s)}`:n.join(s)}function vs(t){return function(e){let s=[];if(e&&typeof e=="object")for(let n in e){let i=e[n];if(i!=null){if(Array.isArray(i)){if(i.length===0)continue;s.push(Es(n,i,{style:"form",explode:!0,...t?.array,allowReserved:t?.allowReserved||!1}));continue}if(typeof i=="object"){s.push(As(n,i,{style:"deepObject",explode:!0,...t?.object,allowReserved:t?.allowReserved||!1}));continue}s.push(ct(n,i,t))}}return s.join("&")}}function Cr(t,r){let e=t;for(let s of t.match(Rr)??[]){let n=s.substring(1,s.length-1),i=!1,o="simple";if(n.endsWith("*")&&(i=!0,n=n.substring(0,n.length-1)),n.startsWith(".")?(o="label",n=n.substring(1)):n.startsWith(";")&&(o="matrix",n=n.substring(1)),!r||r[n]===void 0||r[n]===null)continue;let c=r[n];if(Array.isArray(c)){e=e.replace(s,Es(n,c,{style:o,explode:i}));continue}if(typeof c=="object"){e=e.replace(s,As(n,c,{style:o,explode:i}));continue}if(o==="matrix"){e=e.replace(s,`;${ct(n,c)}`);continue}e=e.replace(s,o==="label"?`.${encodeURIComponent(c)}`:encodeURIComponent(c))}return e}function qr(t,r){return t instanceof FormData?t:r&&(r.get instanceof Function?r.get("Content-Type")??r.get("content-type"):r["Content-Type"]??r["content-type"])==="application/x-www-form-urlencoded"?new URLSearchParams(t).toString():JSON.stringify(t)}function Lr(t,r){let e=`${r.baseUrl}${t}`;r.params?.path&&(e=r.pathSerializer(e,r.params.path));let s=r.querySerializer(r.params.query??{});return s.startsWith("?")&&(s=s.substring(1)),s&&(e+=`?${s}`),e}function ws(...t){let r=new Headers;for(let e of t){if(!e||typeof e!="object")continue;let s=e instanceof Headers?e.entries():Object.entries(e);for(let[n,i]of s)if(i===null)r.delete(n);else if(Array.isArray(i))for(let o of i)r.append(n,o);else i!==void 0&&r.set(n,i)}return r}function ks(t){return t.endsWith("/")?t.substring(0,t.length-1):t}var Ee=(t,r,e)=>new Intl.PluralRules("en").select(t)==="one"?r:e,K=t=>new Intl.NumberFormat("en").format(t),l={language:"en",time:{justNow:"just now",inAMoment:"in a moment",never:"Never"},common:{cancel:"Cancel",close:"Close",back:"Back",save:"Save changes",saving:"Saving…",loading:"Loading…",retry:"Try again",reload:"Reload",copy:"Copy",copied:"Copied",copyFailed:"Select and copy by hand",none:"None",any:"Any",optional:"optional",requestId:"Request id",slow:"This takes longer than usual. Still waiting for the service…"},errors:{offline:"Your computer is not connected to a network. Nothing was sent.",unreachable:"The service could not be reached, or the connection broke before its response arrived.",noResponse:"The service did not respond within 40 seconds.",signedOut:"You are not signed in, or your session has ended.",status:t=>`The service, or a proxy before it, responded with status ${t}.`,offlineTitle:"You are offline",unreachableTitle:"No connection to the service",sessionTitle:"Your session has ended",forbiddenTitle:"You may not do this",notFoundTitle:"This key does not exist",tenantTitle:"This address belongs to no tenant",conflictTitle:"The key has changed in the meantime",revokedTitle:"This key is revoked",expiredTitle:"This key is expired",policyTitle:"Your policy does not allow this",limitTitle:"Too many requests",unavailableTitle:"The service is not available right now",inputTitle:"Please correct the marked fields",otherTitle:"That did not work",signIn:"Sign in again",retryIn:t=>`Try again in ${K(t)} s`,retriesIn:t=>`Next attempt in ${K(t)} s`,retriesOnline:"It loads by itself once you are online again."},status:{active:"Active",suspended:"Suspended",expired:"Expired",revoked:"Revoked",suspendedUntil:t=>`Suspended until ${t}`},scopes:{legend:"What may it do?",read:"Read",write:"Read and write",admin:"Administer",readHint:"Sees the data of your CRM, and changes nothing.",writeHint:"Sees, creates, changes and deletes data of your CRM.",adminHint:"All of that, and manages your API keys: only for programs that create and revoke keys themselves.",notAllowed:"Your policy does not allow this.",notGranted:"You do not have this permission yourself."},list:{title:"API keys",intro:"Each program that works with your CRM signs in with a key of its own.",create:"Create key",search:"Search",searchPlaceholder:"Name, description or last 4 digits",statusFilter:"Status",all:"All",more:t=>`${t}+`,marksFilter:"Needs attention",neverUsed:"Never used",idle:"Idle for 90 days",expiring:"Expires within 30 days",oldSecret:"Old secret still works",markNeverUsed:"Never used",markIdle:"Idle",markExpiring:"Expires soon",markOldSecret:"Old secret works",markOldSecretUsed:"Old secret in use",scope:"Permission",scopeAny:"Any permission",createdBy:"Created by",createdByAnyone:"Anyone",createdByMe:"Me",sort:"Order",sorts:{"-createdAt":"Newest first",createdAt:"Oldest first",name:"Name, A to Z","-name":"Name, Z to A","-lastUsedAt":"Last used first",lastUsedAt:"Longest unused first",expiresAt:"Expires first","-expiresAt":"Expires last"},columnName:"Name",columnScopes:"Permission",columnUsage:"Requests, 30 days",columnLastUsed:"Last used",columnExpires:"Expires",columnCreated:"Created",columnStatus:"Status",usage:t=>`${t} requests in the last 30 days`,by:t=>`by ${t}`,range:(t,r,e)=>`${t}–${r} of ${e}`,rangeOpen:(t,r)=>`${t}–${r}`,previous:"Previous",next:"Next",pages:"Pages",found:t=>`${K(t)} ${Ee(t,"key","keys")} shown`,nothingFound:"No key matches",nothingFoundHint:"Change the search or the filters to see more.",clear:"Clear search and filters",emptyTitle:"No API key yet",emptyText:"An API key lets a program (an integration, a script, a nightly job) work with your CRM without a user’s password.",emptyPoints:["Give each program a key of its own: then you see what it does, and can stop it alone.","The secret is shown once, when you create the key. Keep it where the program’s other secrets are.","Let keys end. A key can be rotated without an interruption."],emptyReader:"Nobody has created one. Creating keys needs the admin permission.",key:t=>`Open ${t}`},form:{createTitle:"Create an API key",editTitle:"Edit key",name:"Name",nameHint:"The program that will use it, such as “Zapier Sync”.",description:"Description",descriptionHint:"What it does, and whom to ask about it.",expiry:"When does it end?",days30:"30 days",days90:"90 days",days365:"1 year",custom:"Other",never:"Never",keep:"As it is",customAt:"Ends at",endsAt:t=>`Ends ${t}. You can rotate or extend it before.`,neverWarning:"A key without an end works until somebody revokes it, also when it was lost or forgotten. Prefer an end, and rotate.",limits:"Limits",limitsHint:"Where from, how fast, how much",addresses:"Allowed addresses",addressesHint:"IP addresses or CIDR blocks, one a line: 203.0.113.7 or 2001:db8::/32. Empty: from anywhere.",addressLine:(t,r)=>`Line ${t} (${r})`,rate:"Rate limit",rateHint:"All of them may come at once. Empty: no limit.",rateRequests:"Requests",rateWindow:"in each",second:"second",minute:"minute",hour:"hour",day:"day",month:"month",quota:"Quota",quotaHint:"Counted by days and months of UTC. Empty: no quota.",quotaPer:"in each",policy:"Your policy",policyLifetime:t=>`keys end within ${K(t)} ${Ee(t,"day","days")}`,policyKeys:(t,r)=>`${K(t)} of at most ${K(r)} keys are in use`,policyAddresses:"allowed addresses are required",policyRate:(t,r)=>`without a rate limit of its own, a key gets ${t} requests in ${r}`,policyLonger:"Longer than your policy allows.",create:"Create key",creating:"Creating…",nameRequired:"Enter a name.",customRequired:"Choose a date and time in the future.",numberRequired:"Enter a whole number, 1 or more.",unknownTitle:"It is not known whether the key was created",unknownChecking:"The response did not arrive. Looking for the key…",unknownFound:t=>`The key “${t}” was created, but its secret was lost on the way, and nobody has it. Revoke that key and create it again.`,unknownNotFound:"The key was not created. You can safely try again.",unknownRetry:"Revoke it and create again"},secret:{createdTitle:"Copy the secret now",rotatedTitle:"Copy the new secret now",lead:t=>`This is the secret of “${t}”. It is shown this once: nobody, us included, can show it again.`,label:"Secret",copy:"Copy secret",snippets:"Try it",stored:"I have stored the secret in a safe place",done:"Done",notStored:"Store the secret first, then confirm it below. After closing, it cannot be shown again.",shell:"curl",python:"Python",node:"Node.js",snippetHint:"The examples read the secret from the environment, so that it stays out of your code."},key:{back:"All keys",edit:"Edit",rotate:"Rotate",suspend:"Suspend",resume:"Resume",revoke:"Revoke",actions:"Actions",about:"About this key",id:"Id",hint:"Secret",scopes:"Permission",created:"Created",createdBy:"Created by",lastUsed:"Last used",expires:"Expires",revoked:"Revoked",addresses:"Allowed addresses",addressesAny:"From anywhere",rateLimit:"Rate limit",quota:"Quota",quotaUsed:(t,r)=>`${t} of ${r} used`,noLimit:"None",rate:(t,r)=>`${t} requests in each ${r}`,quotaPerDay:t=>`${t} requests a day`,quotaPerMonth:t=>`${t} requests a month`,usage:"Requests",callers:"Who uses it",callersHint:"Addresses and programs of the last 30 days.",callersNone:"Nobody has used this key in the last 30 days.",callerAddress:"Address",callerProgram:"Program",callerRequests:"Requests",callerLast:"Last seen",callerSecret:"Secret",callerSecretCurrent:"Current",callerSecretPrevious:"Old",callerMany:"Many addresses",callerManyHint:"Callers that came too fast to be told apart",callerNoProgram:"No program name sent",events:"What happened",suspendedBanner:"This key is suspended: every request with it is refused.",suspendedBannerUntil:t=>`This key is suspended until ${t}: until then every request with it is refused.`,expiredBanner:"This key is expired: every request with it is refused. A later end makes it work again.",revokedBanner:"This key was revoked for good.",changedMeanwhile:"Updated"},rotation:{title:"Rotation in progress",until:t=>`The old secret ${t} still works until`,usedBy:(t,r)=>`Old secret last used ${t} by ${r}`,used:t=>`Old secret last used ${t}`,unused:"Nobody has used the old secret since the rotation.",stillOld:"Still on the old secret",moved:"Uses the new secret",silent:"Not seen since the rotation",end:"End the old secret now",endTitle:"End the old secret?",endText:"Programs that still use it are refused from that moment on.",endUsed:t=>`It was last used ${t}. Whoever used it will be refused.`,programs:"Programs",elapsed:t=>`${t} % of the overlap has passed`},rotate:{title:t=>`Rotate “${t}”`,lead:"The key gets a new secret and keeps its name, permission and usage.",steps:["You get the new secret, and give it to the program.","Until the overlap ends, both secrets work.","You see here who still uses the old one."],overlap:"How long shall the old secret still work?",none:"Not at all",noneHint:"For a secret that has leaked. Programs that use it fail at once.",hour:"1 hour",day:"1 day",week:"7 days",capped:t=>`The key itself ends ${t}, and the old secret with it.`,already:t=>`A rotation is in progress already: rotating again ends the secret ${t} at once.`,submit:"Rotate",busy:"Rotating…",unknownDone:"The rotation was carried out, but the new secret was lost on the way. Rotate once more to get another one; the old secret ends then.",unknownNot:"The key was not rotated. You can safely try again."},suspend:{title:t=>`Suspend “${t}”`,lead:"Every request with this key is refused until you resume it. Nothing is lost.",until:"Until when?",untilResumed:"Until I resume it",hour:"1 hour",day:"1 day",week:"7 days",custom:"Other",customAt:"Until",reason:"Reason",reasonHint:"For the audit trail, in one line.",submit:"Suspend",busy:"Suspending…",resumeTitle:t=>`Resume “${t}”`,resumeLead:"Requests with this key are let in again at once.",resumeSubmit:"Resume",resumeBusy:"Resuming…"},revoke:{title:t=>`Revoke “${t}”`,lead:"The key stops working within 100 ms, for good. It cannot be undone.",recent:"Used in the last 24 hours by",recentNone:"Nobody has used this key in the last 24 hours.",recentUnknown:"Who uses the key could not be loaded, so assume that somebody does.",suspendFirst:"Not sure? Suspend it first: if something breaks, resume it.",suspendInstead:"Suspend instead",typeName:t=>`This key is in use. Type its name, ${t}, to confirm.`,typeMismatch:"This is not the name of the key.",submit:"Revoke for good",busy:"Revoking…"},conflict:{title:"Somebody else has changed this key",by:t=>`${t} changed it while you were editing,`,field:"Field",before:"Before",theirs:"Now",yours:"Yours",unchanged:"not changed",takeTheirs:"Take theirs",saveMine:"Save mine all the same",revoked:"The key was revoked in the meantime and cannot be changed any more."},usage:{range:"Time span",day:"24 hours",week:"7 days",month:"30 days",quarter:"90 days",accepted:"Let in",total:t=>`${t} requests`,refused:t=>`${t} refused`,nothing:"No request in this time.",readout:"Point at a bar, or use the arrow keys, for its numbers.",chart:"Requests over time",table:"Show as a table",columnStart:"From",columnRequests:"Requests",columnRefused:"Refused",reasons:{expired:"Key expired",scope:"Permission missing",revoked:"Revoked, or old secret",suspended:"Key suspended",address:"Address not allowed",rateLimit:"Over the rate limit",quota:"Over the quota"},tenantTitle:"Usage",tenantIntro:"Requests with all keys together.",latest:"Last used keys"},events:{types:{created:"Created",updated:"Changed",rotated:"Rotated",previous_secret_ended:"Old secret ended",suspended:"Suspended",resumed:"Resumed",revoked:"Revoked",secret_reused:"Ended secret used",policy_changed:"Policy changed"},sentence:{created:(t,r)=>`${t} created ${r}`,updated:(t,r)=>`${t} changed ${r}`,rotated:(t,r)=>`${t} rotated ${r}`,previous_secret_ended:(t,r)=>`${t} ended the old secret of ${r}`,suspended:(t,r)=>`${t} suspended ${r}`,resumed:(t,r)=>`${t} resumed ${r}`,revoked:(t,r)=>`${t} revoked ${r}`,secret_reused:(t,r)=>`Somebody used an ended secret of ${r}`,policy_changed:t=>`${t} changed the policy`},thisKey:"the key",somebody:"Somebody",key:t=>`the key “${t}”`,operator:t=>`${t} (operator)`,from:t=>`from ${t}`,granted:t=>`Permission: ${t}`,ends:t=>`Ends ${t}`,endsNever:"No end",change:(t,r,e)=>`${t}: ${r} → ${e}`,overlap:(t,r)=>`The old secret ${t} works until ${r}`,overlapNone:t=>`The old secret ${t} ended at once`,newSecret:t=>`New secret ${t}`,secret:t=>`Secret ${t}`,until:t=>`Until ${t}`,reason:t=>`Reason: ${t}`,none:"Nothing yet.",older:"Show older",fields:{name:"Name",scopes:"Permission",expiresAt:"End",description:"Description",allowedAddresses:"Allowed addresses",rateLimit:"Rate limit",quota:"Quota",maxLifetimeDays:"Longest life",maxActiveKeys:"Number of keys",idleSuspendDays:"Idle after",allowedScopes:"Allowed permission",requireAllowedAddresses:"Addresses required",onLeak:"On a leak",defaultRateLimit:"Default rate limit"}},audit:{title:"Audit trail",intro:"Every change, by whom, when and from where. It cannot be changed or deleted.",type:"What happened",typeAny:"Everything",actor:"By",actorPlaceholder:"Part of a name",since:"From",until:"To",key:"Key",onlyThisKey:"Only this key",onlyKey:t=>`Only ${t}`,clear:"Clear filters",exportNdjson:"Export NDJSON",exportCsv:"Export CSV",exporting:t=>`Exporting, ${K(t)} so far…`,exported:t=>`Exported ${K(t)} ${Ee(t,"event","events")}.`,none:"No event matches.",scanned:t=>`${K(t)} ${Ee(t,"event","events")} searched`},policy:{title:"Policy",intro:"Rules for all keys. They bind what is created, changed and rotated from now on; keys that break a rule go on working, and are listed here.",lifetime:"Longest life of a key",lifetimeHint:"Keys end within so many days, and none is without an end. Empty: no rule.",keys:"Most keys in use",keysHint:"Keys that are neither revoked nor expired. Empty: no rule.",idle:"A key is idle after",idleHint:"Idle keys are listed here. Empty: no rule.",scopes:"Highest permission",scopesAny:"No rule",addresses:"Each key must have allowed addresses",leak:"When a secret is reported as leaked",leakRevoke:"Revoke the key",leakSuspend:"Suspend the key",leakNotify:"Only record it",rate:"Rate limit of keys created without one",rateHint:"Keys that exist stay as they are. Empty: none.",days:"days",unitKeys:"keys",range:t=>`Enter a whole number, 1 to ${t}.`,requests:"requests",save:"Save policy",saving:"Saving…",saved:"The policy is saved and in force.",unchanged:"No changes",checking:"Checking which keys would break it…",wouldBreak:t=>`${K(t)} ${Ee(t,"key would","keys would")} break these rules`,wouldBreakNone:"No key would break these rules",breaks:t=>`${K(t)} ${Ee(t,"key breaks","keys break")} the policy`,breaksNone:"All keys follow the policy",breaksHint:"They go on working, but cannot be rotated or extended before they follow the rules.",first:t=>`The newest ${K(t)} are shown.`,columnRules:"Breaks",confirmTitle:"Save this policy?",confirmText:"These keys go on working, but cannot be rotated or extended before they follow the rules.",confirm:"Save all the same",readOnly:"Changing the policy needs the admin permission.",rules:{maxLifetimeDays:"ends too late",maxActiveKeys:"too many keys",idleSuspendDays:"idle",allowedScopes:"too much permission",requireAllowedAddresses:"no addresses"}},shell:{product:"API keys",skip:"Skip to content",nav:"Sections",keys:"Keys",usage:"Usage",audit:"Audit trail",policy:"Policy",signedInAs:t=>`Signed in as ${t}`,signOut:"Sign out",signIn:"Sign in",signInTitle:"Sign in to manage API keys",signInText:"You sign in with your CRM account. You come back here afterwards.",pasteTitle:"Open the console with a token",pasteText:"No login is configured for this console, so it needs a token of one of your admins. It is kept in the memory of this page only, and is gone when you close or reload it.",pasteHow:"An operator makes one with",pasteLabel:"Token",pasteHint:"A JWT that begins with eyJ, or the secret of a key with the admin permission.",pasteSubmit:"Open console",pasteEmpty:"Paste a token.",pasteMalformed:"This does not look like a token: it has spaces or line breaks in it.",expiredTitle:"Your session has ended",expiredText:"What you entered is still here. Sign in again to go on.",expiredPaste:"What you entered is still here. Paste a new token to go on.",reader:"You can look at everything, but not change it: that needs the admin permission.",noToken:"This part of the page gets no token from the page around it: set its property getToken, or handle its event token-request."}};var M=class extends Error{constructor(e,s,n,i=null,o=[],c=null,p=null){super(n);this.status=e;this.code=s;this.requestId=i;this.errors=o;this.retryAfter=c;this.rule=p;this.name="ApiError"}get outcomeUnknown(){return["unreachable","no_response","timeout","database_unavailable","internal_error"].includes(this.code)||this.status>=500&&this.code==="unknown"}get isSignInNeeded(){return this.status===401}};function Ss(t,r,e){let s=typeof r=="object"&&r!==null?r:{},n=Number.parseInt(t.headers.get("Retry-After")??"",10);return new M(t.status,s.code??"unknown",s.detail??e,t.headers.get("X-Request-Id")??s.requestId??null,s.errors??[],Number.isFinite(n)?n:null,s.rule??null)}var Ur=4e4,je=class{constructor(r,e){this.baseUrl=r;this.getToken=e;this.#e=xs({baseUrl:r,fetch:s=>this.#n(s)})}#e;#t=null;me(){return j(this.#e.GET("/api/v1/me",{}))}list(r){return _s(this.#e.GET("/api/v1/api-keys",{params:{query:r}}))}async count(r){return(await this.list({...r,limit:1})).total}key(r){return Rs(this.#e.GET("/api/v1/api-keys/{id}",{params:{path:{id:r}}}))}create(r,e){return j(this.#e.POST("/api/v1/api-keys",{body:r,headers:{"Idempotency-Key":e}}))}update(r,e,s){return Rs(this.#e.PATCH("/api/v1/api-keys/{id}",{params:{path:{id:r},header:Ts(s)},body:e}))}rotate(r,e,s,n){return j(this.#e.POST("/api/v1/api-keys/{id}/rotate",{params:{path:{id:r},header:Ts(s)},body:{overlapSeconds:e},headers:{"Idempotency-Key":n}}))}async endPreviousSecret(r){await j(this.#e.DELETE("/api/v1/api-keys/{id}/previous-secret",{params:{path:{id:r}}}))}suspend(r,e,s){let n={until:e,reason:s};return j(this.#e.POST("/api/v1/api-keys/{id}/suspend",{params:{path:{id:r}},body:n}))}resume(r,e){return j(this.#e.POST("/api/v1/api-keys/{id}/resume",{params:{path:{id:r}},body:{reason:e}}))}async revoke(r){await j(this.#e.DELETE("/api/v1/api-keys/{id}",{params:{path:{id:r}}}))}usage(r,e,s){let n={from:e.toISOString(),interval:s};return j(this.#e.GET("/api/v1/api-keys/{id}/usage",{params:{path:{id:r},query:n}}))}tenantUsage(r,e){let s={from:r.toISOString(),interval:e};return j(this.#e.GET("/api/v1/api-keys/usage",{params:{query:s}}))}callers(r){return j(this.#e.GET("/api/v1/api-keys/{id}/callers",{params:{path:{id:r}}}))}keyEvents(r,e){return Ps(this.#e.GET("/api/v1/api-keys/{id}/events",{params:{path:{id:r},query:e}}))}events(r){return Ps(this.#e.GET("/api/v1/api-keys/events",{params:{query:r}}))}policy(){return j(this.#e.GET("/api/v1/api-keys/policy",{}))}setPolicy(r,e){return j(this.#e.PUT("/api/v1/api-keys/policy",{params:{query:{dryRun:e}},body:r}))}async#n(r){let e=r.clone();this.#t=await this.#s();let s=await this.#r(r,this.#t);if(s.status!==401)return s;let n=this.#t;return this.#t=await this.#s(),this.#t===n?s:this.#r(e,this.#t)}async#s(){try{return await this.getToken()}catch{throw new M(401,"signed_out",l.errors.signedOut)}}async#r(r,e){let s=new Headers(r.headers);s.set("Authorization",`Bearer ${e}`);let n=AbortSignal.timeout(Ur);try{return await fetch(new Request(r,{headers:s,signal:n,credentials:"omit",cache:"no-store",referrerPolicy:"no-referrer"}))}catch{throw n.aborted?new M(0,"no_response",l.errors.noResponse):navigator.onLine?new M(0,"unreachable",l.errors.unreachable):new M(0,"offline",l.errors.offline)}}};function Ts(t){return t===null?{}:{"If-Match":t}}async function j(t){return(await Nt(t)).data}async function Rs(t){let{data:r,response:e}=await Nt(t);return{value:r,etag:e.headers.get("ETag")}}async function _s(t){let{data:r,response:e}=await Nt(t),s=e.headers.get("X-Total-Count");return{items:r??[],next:Mr(e.headers.get("Link")),total:s===null?null:Number(s)}}var Ps=t=>_s(t);async function Nt(t){let r;try{r=await t}catch(e){throw e instanceof M?e:new M(0,"unreachable",l.errors.unreachable)}if(!r.response.ok)throw Ss(r.response,r.error,l.errors.status(r.response.status));return r}function Mr(t){let r=t?.match(/<([^>]*)>\s*;[^,]*rel="?next"?/)?.[1];return r===void 0?null:new URL(r,location.href).searchParams.get("cursor")}var Ir={close:"M4 4l8 8M12 4l-8 8",plus:"M8 3v10M3 8h10",search:"M7 11.5a4.5 4.5 0 1 0 0-9 4.5 4.5 0 0 0 0 9zM10.5 10.5L14 14",copy:"M5.5 5.5v-3h8v8h-3M2.5 5.5h8v8h-8z",check:"M3 8.5l3.5 3.5L13 4.5",back:"M10 3L5 8l5 5",forward:"M6 3l5 5-5 5",warning:"M8 2L1.5 13.5h13zM8 6.5v3.5M8 11.8v.2",info:"M8 14.5a6.5 6.5 0 1 0 0-13 6.5 6.5 0 0 0 0 13zM8 7.3v4M8 4.8v.2",offline:"M2 2l12 12M4.7 9.2A5 5 0 0 1 8 8m3.3 1.2a5 5 0 0 0-.8-.6M2.2 6.6A8.5 8.5 0 0 1 5 4.9M13.800 6.600A8.500 8.500 0 0 0 7.500 4.200M8 12.500v.200",key:"M10.500 9a3.800 3.800 0 1 0-3.600-2.600L2 11.300V14h2.700v-1.600h1.600v-1.600h1.600l.900-.900c.500.100 1.100.100 1.700.100zM11.300 4.700v.100",rotate:"M13.500 3v3.500H10M2.500 13V9.500H6M3.300 6.200a5 5 0 0 1 9-1.200l1.200 1.500M12.700 9.800a5 5 0 0 1-9 1.200L2.500 9.500",pause:"M5.500 3.500v9M10.500 3.500v9",play:"M5 3l8 5-8 5z",edit:"M3 13l.700-3L10.800 2.900l2.300 2.300L6 12.300z",trash:"M3 4.500h10M6.500 4.500v-2h3v2M4.500 4.500l.600 9h5.800l.600-9",download:"M8 2.500v8M4.500 7.500L8 11l3.500-3.500M3 13.500h10"},y=t=>a`<svg class="icon" viewBox="0 0 16 16" width="16" height="16" aria-hidden="true" focusable="false">
${$e`<path d=${Ir[t]} fill="none" stroke="currentColor" stroke-width="1.5" stroke-linecap="round" stroke-linejoin="round"/>`}
</svg>`;var E=class extends Q{createRenderRoot(){return this}find(r){return this.renderRoot.querySelector(r)}emit(r,e,s=!1){this.dispatchEvent(new CustomEvent(r,{detail:e,bubbles:!0,composed:s}))}},Or=2500,N=class{constructor(r){this.host=r;this.error=null;this.busy=!1;this.slow=!1;this.#e=0;r.addController(this)}#e;hostConnected(){}hostDisconnected(){this.#e++,this.busy=!1}async run(r){let e=++this.#e;this.busy=!0,this.slow=!1,this.host.requestUpdate();let s=setTimeout(()=>{e===this.#e&&(this.slow=!0,this.host.requestUpdate())},Or);try{let n=await r();return e!==this.#e?!1:(this.value=n,this.error=null,!0)}catch(n){return e===this.#e&&(this.error=G(n)),!1}finally{clearTimeout(s),e===this.#e&&(this.busy=!1,this.slow=!1,this.host.requestUpdate())}}reset(){this.#e++,this.value=void 0,this.error=null,this.busy=!1,this.slow=!1,this.host.requestUpdate()}};function G(t){return t instanceof M?t:(console.error(t),new M(0,"page_error",t instanceof Error?t.message:l.errors.unreachable))}var Se=class{constructor(r){this.host=r;r.addController(this)}#e;hostConnected(){this.#e=setInterval(()=>this.host.requestUpdate(),3e4)}hostDisconnected(){clearInterval(this.#e)}},Nr=0,R=()=>`rally-${++Nr}`;function k(t,r){customElements.get(t)===void 0&&customElements.define(t,r)}var P=class extends E{constructor(){super(...arguments);this.busy=!1;this.error=null;this.#e=R();this.#t=async e=>{if(e.target===this.dialog){if(!this.mayClose()){this.dialog?.showModal();return}this.dispatchEvent(new CustomEvent("closed"))}}}#e;get dialog(){return this.find("dialog")}firstUpdated(){this.dialog?.showModal(),this.find("[data-focus]")?.focus()}close(){this.dialog?.close()}mayClose(){return!this.busy}frame(e,s,n,i={}){let{wide:o=!1,closable:c=!0}=i;return a`<dialog
class=${o?"dialog wide":"dialog"}
part="dialog"
aria-labelledby=${this.#e}
@cancel=${p=>{this.mayClose()||p.preventDefault()}}
@close=${this.#t}
>
<header class="dialog-head">
<h2 id=${this.#e} tabindex="-1" class="dialog-title">${e}</h2>
${c?a`<button type="button" class="icon-button" aria-label=${l.common.close} @click=${()=>this.mayClose()&&this.close()}>
${y("close")}
</button>`:d}
</header>
<div class="dialog-body">${s}</div>
${n===d?d:a`<footer class="dialog-foot">${n}</footer>`}
</dialog>`}async attempt(e){if(!this.busy){this.busy=!0,this.error=null;try{await e()}catch(s){this.error=G(s)}finally{this.busy=!1}await this.updateComplete,this.error!==null&&(this.find('[aria-invalid="true"]')??this.find(".problem"))?.focus()}}#t};u([h({attribute:!1})],P.prototype,"api",2),u([m()],P.prototype,"busy",2),u([m()],P.prototype,"error",2);var A=l.errors,Dr={offline:A.offlineTitle,unreachable:A.unreachableTitle,no_response:A.unreachableTitle,key_not_found:A.notFoundTitle,tenant_not_found:A.tenantTitle,key_revoked:A.revokedTitle,key_expired:A.expiredTitle},Hr={400:A.inputTitle,401:A.sessionTitle,403:A.forbiddenTitle,404:A.notFoundTitle,409:A.conflictTitle,412:A.conflictTitle,422:A.policyTitle,429:A.limitTitle,503:A.unavailableTitle},ge=class extends E{constructor(){super(...arguments);this.error=null;this.retry=!1;this.auto=!1;this.remaining=0;this.#t=0;this.#r=()=>{this.auto&&this.error?.status===0&&this.#i()};this.#i=()=>{clearInterval(this.#e),this.remaining=0,this.dispatchEvent(new CustomEvent("retry"))}}#e;#t;connectedCallback(){super.connectedCallback(),addEventListener("online",this.#r)}disconnectedCallback(){super.disconnectedCallback(),removeEventListener("online",this.#r),clearInterval(this.#e)}willUpdate(e){e.has("error")&&this.#s()}render(){let{error:e}=this;if(e===null)return d;let s=Dr[e.code]??Hr[e.status]??A.otherTitle,n=e.status===0,i=n||e.status===429||e.status===503?"warn":"bad",o=n?"offline":"warning";return a`<div class="problem ${i}" role="alert" tabindex="-1" part="error" data-code=${e.code}>
${y(o)}
<div class="problem-text">
<p class="problem-title">${s}</p>
<p>${e.message}</p>
${e.errors.length>0?a`<ul class="problem-fields">
${e.errors.map(({field:c,message:p})=>a`<li><code>${c}</code> ${p}</li>`)}
</ul>`:d}
${this.auto&&e.code==="offline"?a`<p>${A.retriesOnline}</p>`:d}
${e.requestId===null?d:a`<p class="request-id">${l.common.requestId} <code>${e.requestId}</code></p>`}
${this.#n(e)}
</div>
</div>`}#n(e){if(e.isSignInNeeded)return a`<button type="button" class="button" @click=${()=>this.emit("sign-in-required",void 0,!0)}>${A.signIn}</button>`;if(!this.retry||[400,403,404,409,412,422].includes(e.status))return d;let s=this.remaining>0,n=s?this.auto?A.retriesIn(this.remaining):A.retryIn(this.remaining):l.common.retry;return a`<button type="button" class="button" ?disabled=${s&&!this.auto} @click=${this.#i}>${n}</button>`}#s(){clearInterval(this.#e);let e=this.error?.retryAfter??0;this.remaining=e===0||!this.auto?e:Math.max(e,Math.min(30,2**this.#t++)),this.remaining!==0&&(this.#e=setInterval(()=>{this.remaining-=1,!(this.remaining>0)&&(clearInterval(this.#e),this.auto&&this.#i())},1e3))}#r;#i};u([h({attribute:!1})],ge.prototype,"error",2),u([h({type:Boolean})],ge.prototype,"retry",2),u([h({type:Boolean})],ge.prototype,"auto",2),u([m()],ge.prototype,"remaining",2);k("rally-error-box",ge);var F=navigator.languages.find(t=>t.split("-")[0]===l.language)??l.language,Kr=new Intl.DateTimeFormat(F,{dateStyle:"medium"}),jr=new Intl.DateTimeFormat(F,{dateStyle:"medium",timeStyle:"short"}),Fr=new Intl.DateTimeFormat(F,{dateStyle:"full",timeStyle:"long"}),Br=new Intl.DateTimeFormat(F,{weekday:"short",day:"numeric",month:"short",hour:"numeric",minute:"2-digit"}),zr=new Intl.DateTimeFormat(F,{weekday:"short",day:"numeric",month:"short",timeZone:"UTC"}),Wr=new Intl.DateTimeFormat(F,{day:"numeric",month:"short",timeZone:"UTC"}),Yr=new Intl.DateTimeFormat(F,{hour:"numeric",minute:"2-digit"}),Vr=new Intl.NumberFormat(F),Qr=new Intl.NumberFormat(F,{notation:"compact",maximumFractionDigits:1}),Cs=new Intl.RelativeTimeFormat(F,{numeric:"auto"}),Ki=new Intl.ListFormat(F,{type:"conjunction"}),x=864e5,Gr=[["day",x,1.5*x],["hour",36e5,33e5]],Dt=t=>Kr.format(new Date(t)),D=t=>jr.format(new Date(t)),le=t=>Fr.format(new Date(t)),Ht=t=>Br.format(new Date(t)),qs=t=>zr.format(new Date(t)),Ls=t=>Wr.format(new Date(t)),Us=t=>Yr.format(new Date(t)),w=t=>Vr.format(t),dt=t=>Qr.format(t);function be(t,r=Date.now()){let e=new Date(t).getTime()-r,s=Math.abs(e);if(s<45e3)return e<=0?l.time.justNow:l.time.inAMoment;for(let[n,i,o]of Gr)if(s>=o)return Cs.format(Math.round(e/i),n);return Cs.format(Math.round(e/6e4),"minute")}function I(t,r=d){if(t===null)return r;let e=Math.abs(new Date(t).getTime()-Date.now())<30*x;return a`<time datetime=${t} title=${le(t)}>${e?be(t):Dt(t)}</time>`}function Te(t){return a`<time datetime=${t} title=${le(t)}>${D(t)}</time>`}function Ms(t){let[r,e]=[["day",86400],["hour",3600],["minute",60],["second",1]].find(([,s])=>t%s===0)??["second",1];return new Intl.NumberFormat(F,{style:"unit",unit:r,unitDisplay:"long"}).format(t/e)}function J(t){return new Date(t.getTime()-t.getTimezoneOffset()*6e4).toISOString().slice(0,16)}function q(t){let r=t.split(",").map(e=>e.trim());return r.includes("admin")?"admin":r.includes("write")?"write":"read"}var Kt={read:"read",write:"read,write",admin:"read,write,admin"},ce=["read","write","admin"],Is=t=>{let r=q(t);return a`<span class="scope ${r}" title=${t}>${l.scopes[r]}</span>`};function ut(t){let r=t.status==="suspended"&&t.suspendedUntil?l.status.suspendedUntil(le(t.suspendedUntil)):"";return a`<span class="badge ${t.status}" part="status" title=${r}>${l.status[t.status]}</span>`}function pt(t,r=Date.now()){if(t.status==="revoked"||t.status==="expired")return[];let e=[];return t.rotation!==null&&e.push("oldSecret"),t.expiresAt!==null&&Date.parse(t.expiresAt)-r<30*x&&e.push("expiring"),r-Date.parse(t.lastUsedAt??t.createdAt)>90*x&&e.push("idle"),t.lastUsedAt===null&&e.push("neverUsed"),e}function Os(t,r){let e=l.list;if(t==="oldSecret"){let n=r.rotation?.previousLastUsedAt??null,i=n!==null&&Date.now()-Date.parse(n)<x,o=n===null?l.rotation.unused:l.rotation.used(be(n));return a`<span class="mark" title=${o}>${i?e.markOldSecretUsed:e.markOldSecret}</span>`}let s={neverUsed:e.markNeverUsed,idle:e.markIdle,expiring:e.markExpiring}[t];return a`<span class=${t==="neverUsed"?"mark quiet":"mark"}>${s}</span>`}var Jr={1:l.form.second,60:l.form.minute,3600:l.form.hour,86400:l.form.day},ht=t=>Jr[t]??Ms(t),Re=t=>t===null?l.key.noLimit:l.key.rate(w(t.requests),ht(t.windowSeconds)),ve=t=>t===null?l.key.noLimit:t.per==="day"?l.key.quotaPerDay(w(t.requests)):l.key.quotaPerMonth(w(t.requests));function re(t,r=()=>{}){if(t===null)return l.events.somebody;if(t.startsWith("operator:"))return l.events.operator(t.slice(9));if(t.startsWith("api-key:")){let e=r(t.slice(8));return e===void 0?t:l.events.key(e)}return t}var Fe=t=>({name:"",description:"",preset:t?.maxLifetimeDays!=null&&t.maxLifetimeDays<90?t.maxLifetimeDays<30?"custom":"30":"90",customAt:t?.maxLifetimeDays!=null?J(new Date(Date.now()+t.maxLifetimeDays*x-6e5)):"",level:"read",addresses:"",rateRequests:"",rateWindow:60,quotaRequests:"",quotaPer:"day"}),jt=t=>({name:t.name,description:t.description??"",preset:t.expiresAt===null?"never":"keep",customAt:t.expiresAt===null?"":J(new Date(t.expiresAt)),level:q(t.scopes),addresses:t.allowedAddresses.join(`
`),rateRequests:t.rateLimit===null?"":String(t.rateLimit.requests),rateWindow:t.rateLimit?.windowSeconds??60,quotaRequests:t.quota===null?"":String(t.quota.requests),quotaPer:t.quota?.per??"day"});function Be(t,r){if(t.preset==="never")return"never";if(t.preset==="custom"||t.preset==="keep"){let e=new Date(t.customAt);return Number.isNaN(e.getTime())?null:e}return new Date(r+Number(t.preset)*x)}function $t(t,r){let e={};if(t.name.trim()===""&&(e.name=[l.form.nameRequired]),t.preset==="custom"){let s=Be(t,r);(s===null||s!=="never"&&s.getTime()<=Date.now())&&(e.expiresAt=[l.form.customRequired])}return Ns(t.rateRequests)||(e.rateLimit=[l.form.numberRequired]),Ns(t.quotaRequests)||(e.quota=[l.form.numberRequired]),e}var Ns=t=>t.trim()===""||/^[1-9]\d{0,12}$/.test(t.trim()),Zr={maxLifetimeDays:"expiresAt",allowedScopes:"scopes",requireAllowedAddresses:"allowedAddresses"};function gt(t,r){let e={},s=(i,o)=>{(e[i]??=[]).push(o)};if(t.rule!==null){let i=Zr[t.rule];return i===void 0?null:(s(i,t.message),e)}let n=ft(r.addresses);for(let{field:i,message:o}of t.errors){let[,c="",p]=/^(\w+)(?:\[(\d+)\])?/.exec(i)??[];if(!["name","description","expiresAt","scopes","allowedAddresses","rateLimit","quota"].includes(c))return null;let v=Number(p),f=p===void 0?"":`${l.form.addressLine(v+1,n[v]??"")}: `;s(c,f===""?Xr(o):f+o)}return t.errors.length>0?e:null}var Xr=t=>`${t.charAt(0).toUpperCase()}${t.slice(1)}.`,ft=t=>t.split(/[\n,]/).map(r=>r.trim()).filter(r=>r!==""),mt=t=>t.rateRequests.trim()===""?null:{requests:Number(t.rateRequests),windowSeconds:t.rateWindow},yt=t=>t.quotaRequests.trim()===""?null:{requests:Number(t.quotaRequests),per:t.quotaPer};function Ds(t,r){let e=Be(t,r),s={name:t.name.trim(),scopes:Kt[t.level],expiresAt:e==="never"||e===null?null:Ks(e)};t.description.trim()!==""&&(s.description=t.description);let n=ft(t.addresses);n.length>0&&(s.allowedAddresses=n);let i=mt(t);i!==null&&(s.rateLimit=i);let o=yt(t);return o!==null&&(s.quota=o),s}function Hs(t,r,e){let s=jt(r),n={};if(t.name.trim()!==r.name&&(n.name=t.name.trim()),t.description.trim()!==s.description&&(n.description=t.description.trim()===""?null:t.description),t.level!==s.level&&(n.scopes=Kt[t.level]),!(t.preset==="keep"||t.preset==="never"&&r.expiresAt===null)){let o=Be(t,e);n.expiresAt=o==="never"||o===null?null:Ks(o)}return ft(t.addresses).join()!==r.allowedAddresses.join()&&(n.allowedAddresses=ft(t.addresses)),JSON.stringify(mt(t))!==JSON.stringify(mt(s))&&(n.rateLimit=mt(t)),JSON.stringify(yt(t))!==JSON.stringify(yt(s))&&(n.quota=yt(t)),n}var Ks=t=>t.toISOString().replace(/\.\d+Z$/,"Z");function js(t,r,e){let s=ce.indexOf(t);return s>ce.indexOf(q(e))?l.scopes.notGranted:r?.allowedScopes!=null&&s>ce.indexOf(q(r.allowedScopes))?l.scopes.notAllowed:null}function Fs(t,r){let e=r?.maxLifetimeDays??null;return e===null||t==="custom"||t==="keep"?!0:t!=="never"&&Number(t)<=e}var en=[1,60,3600,86400],z=class extends E{constructor(){super(...arguments);this.draft=Fe(null);this.errors={};this.policy=null;this.granted="admin";this.currentEnd=null;this.isNew=!1;this.now=Date.now();this.limitsOpen=!1;this.#e=R()}#e;willUpdate(e){let{draft:s,errors:n,policy:i}=this,o=s.addresses!==""||s.rateRequests!==""||s.quotaRequests!=="",c=n.allowedAddresses!==void 0||n.rateLimit!==void 0||n.quota!==void 0;(e.has("draft")&&o&&!this.hasUpdated||e.has("errors")&&c)&&(this.limitsOpen=!0),e.has("policy")&&i?.requireAllowedAddresses===!0&&(this.limitsOpen=!0)}#t(e){this.draft={...this.draft,...e}}render(){let e=l.form,{draft:s}=this;return a`
${this.#n()}
${this.#s("name",e.name,e.nameHint,(n,i,o)=>a`<input
id=${n}
data-focus
type="text"
required
maxlength="100"
autocomplete="off"
aria-describedby=${i}
aria-invalid=${o}
.value=${s.name}
@input=${c=>this.#t({name:de(c)})}
/>`)}
${this.#s("description",e.description,e.descriptionHint,(n,i,o)=>a`<textarea
id=${n}
rows="2"
maxlength="500"
aria-describedby=${i}
aria-invalid=${o}
.value=${s.description}
@input=${c=>this.#t({description:de(c)})}
></textarea>`,!0)}
${this.#i()} ${this.#a()} ${this.#c()}
`}#n(){let e=l.form,{policy:s}=this;if(s===null)return d;let n=[s.maxLifetimeDays==null?"":e.policyLifetime(s.maxLifetimeDays),s.requireAllowedAddresses===!0?e.policyAddresses:"",s.maxActiveKeys==null||!this.isNew?"":e.policyKeys(s.activeKeys,s.maxActiveKeys),s.defaultRateLimit==null||!this.isNew?"":e.policyRate(w(s.defaultRateLimit.requests),ht(s.defaultRateLimit.windowSeconds))].filter(i=>i!=="");return n.length===0?d:a`<p class="note">${y("info")}<span><b>${e.policy}:</b> ${n.join("; ")}.</span></p>`}#s(e,s,n,i,o=!1){let c=`${this.#e}-${e}`,p=this.errors[e]===void 0?"false":"true";return a`<div class="field">
<label for=${c}>${s} ${o?a`<span class="optional">${l.common.optional}</span>`:d}</label>
${i(c,`${c}-hint ${c}-error`,p)}
<p class="hint-text" id="${c}-hint">${n}</p>
${this.#r(e)}
</div>`}#r(e){let s=this.errors[e]??[];return a`<div id="${this.#e}-${e}-error">
${s.map(n=>a`<p class="field-error">${y("warning")}<span>${n}</span></p>`)}
</div>`}#i(){let e=l.scopes,s={read:e.readHint,write:e.writeHint,admin:e.adminHint};return a`<fieldset class="field" aria-describedby="${this.#e}-scopes-error">
<legend>${e.legend}</legend>
<div class="choices">
${ce.map(n=>{let i=js(n,this.policy,this.granted),o=this.draft.level===n;return a`<label class=${i!==null&&!o?"choice off":"choice"}>
<input
type="radio"
name="${this.#e}-scope"
value=${n}
.checked=${o}
?disabled=${i!==null&&!o}
aria-invalid=${this.errors.scopes!==void 0&&o?"true":"false"}
@change=${()=>this.#t({level:n})}
/>
<span><b>${e[n]}</b><span class="choice-hint">${i!==null&&!o?i:s[n]}</span></span>
</label>`})}
</div>
${this.#r("scopes")}
</fieldset>`}#a(){let e=l.form,{draft:s}=this,n=[...this.isNew||this.currentEnd===null?[]:[["keep",e.keep]],["30",e.days30],["90",e.days90],["365",e.days365],["custom",e.custom],["never",e.never]];return a`<fieldset class="field" aria-describedby="${this.#e}-expiry-note ${this.#e}-expiresAt-error">
<legend>${e.expiry}</legend>
<div class="segments">
${n.map(([i,o])=>{let c=s.preset===i,p=Fs(i,this.policy)||c;return a`<label class=${p?"segment":"segment off"} title=${p?"":e.policyLonger}>
<input
type="radio"
name="${this.#e}-expiry"
value=${i}
.checked=${c}
?disabled=${!p}
@change=${()=>this.#t({preset:i,customAt:s.customAt||J(new Date(this.now+90*x))})}
/>
<span>${o}</span>
</label>`})}
</div>
${s.preset==="custom"?this.#o():d}
<p id="${this.#e}-expiry-note" class=${s.preset==="never"?"note warn":"hint-text"} aria-live="polite">${this.#l()}</p>
${this.#r("expiresAt")}
</fieldset>`}#o(){let e=this.policy?.maxLifetimeDays??null,s=`${this.#e}-custom`;return a`<div class="inline-field">
<label for=${s}>${l.form.customAt}</label>
<input
id=${s}
type="datetime-local"
required
min=${J(new Date)}
max=${e===null?d:J(new Date(this.now+e*x))}
aria-describedby="${this.#e}-expiresAt-error"
aria-invalid=${this.errors.expiresAt===void 0?"false":"true"}
.value=${this.draft.customAt}
@input=${n=>this.#t({customAt:de(n)})}
/>
</div>`}#l(){let{draft:e}=this;if(e.preset==="never")return a`${y("warning")}<span>${l.form.neverWarning}</span>`;let s=e.preset==="keep"&&this.currentEnd!==null?new Date(this.currentEnd):Be(e,this.now);return s===null||s==="never"?d:a`<span title=${le(s)}>${l.form.endsAt(D(s))}</span>`}#c(){let e=l.form,{draft:s}=this;return a`<details class="more" .open=${this.limitsOpen} @toggle=${n=>this.limitsOpen=n.target.open}>
<summary><b>${e.limits}</b> <span class="muted">${e.limitsHint}</span></summary>
${this.#s("allowedAddresses",e.addresses,e.addressesHint,(n,i,o)=>a`<textarea
id=${n}
rows="3"
class="code"
spellcheck="false"
autocomplete="off"
aria-describedby=${i}
aria-invalid=${o}
.value=${s.addresses}
@input=${c=>this.#t({addresses:de(c)})}
></textarea>`,this.policy?.requireAllowedAddresses!==!0)}
${this.#s("rateLimit",e.rate,e.rateHint,(n,i,o)=>a`<div class="pair">
<input id=${n} type="text" inputmode="numeric" class="number" autocomplete="off" placeholder=${e.rateRequests} aria-describedby=${i} aria-invalid=${o} .value=${s.rateRequests} @input=${c=>this.#t({rateRequests:de(c)})} />
<label for="${n}-window">${e.rateWindow}</label>
<select id="${n}-window" @change=${c=>this.#t({rateWindow:Number(de(c))})}>
${[...new Set([...en,s.rateWindow])].map(c=>a`<option value=${c} ?selected=${c===s.rateWindow}>${ht(c)}</option>`)}
</select>
</div>`,!0)}
${this.#s("quota",e.quota,e.quotaHint,(n,i,o)=>a`<div class="pair">
<input id=${n} type="text" inputmode="numeric" class="number" autocomplete="off" placeholder=${e.rateRequests} aria-describedby=${i} aria-invalid=${o} .value=${s.quotaRequests} @input=${c=>this.#t({quotaRequests:de(c)})} />
<label for="${n}-per">${e.quotaPer}</label>
<select id="${n}-per" @change=${c=>this.#t({quotaPer:de(c)})}>
${["day","month"].map(c=>a`<option value=${c} ?selected=${c===s.quotaPer}>${e[c]}</option>`)}
</select>
</div>`,!0)}
</details>`}};u([h({attribute:!1})],z.prototype,"draft",2),u([h({attribute:!1})],z.prototype,"errors",2),u([h({attribute:!1})],z.prototype,"policy",2),u([h()],z.prototype,"granted",2),u([h({attribute:!1})],z.prototype,"currentEnd",2),u([h({type:Boolean})],z.prototype,"isNew",2),u([h({type:Number})],z.prototype,"now",2),u([m()],z.prototype,"limitsOpen",2);k("rally-key-form",z);var de=t=>t.target.value;var ue=class extends E{constructor(){super(...arguments);this.text="";this.label=l.common.copy;this.primary=!1;this.compact=!1;this.outcome="none";this.#e=async()=>{try{await navigator.clipboard.writeText(this.text),this.outcome="copied",this.dispatchEvent(new CustomEvent("copied",{bubbles:!0}))}catch{this.outcome="failed"}setTimeout(()=>this.outcome="none",3e3)}}render(){let e={none:"",copied:l.common.copied,failed:l.common.copyFailed}[this.outcome],s=this.compact?"icon-button":this.primary?"button primary":"button";return a`<button type="button" class=${s} aria-label=${this.label} title=${this.label} @click=${this.#e}>
${y(this.outcome==="copied"?"check":"copy")} ${this.compact?"":e||this.label}
</button>
<span class="visually-hidden" role="status">${e}</span>`}#e};u([h({attribute:!1})],ue.prototype,"text",2),u([h()],ue.prototype,"label",2),u([h({type:Boolean})],ue.prototype,"primary",2),u([h({type:Boolean})],ue.prototype,"compact",2),u([m()],ue.prototype,"outcome",2);k("rally-copy-button",ue);var ze=["shell","python","node"],we=class extends E{constructor(){super(...arguments);this.baseUrl="";this.nudge=!1;this.language="shell";this.#e=R();this.#t=e=>{let s={ArrowRight:1,ArrowLeft:-1}[e.key];if(s===void 0)return;let n=ze[(ze.indexOf(this.language)+s+ze.length)%ze.length];n!==void 0&&(this.language=n,this.find(`#${this.#e}-${n}`)?.focus())}}#e;connectedCallback(){super.connectedCallback(),addEventListener("beforeunload",Bs)}disconnectedCallback(){super.disconnectedCallback(),removeEventListener("beforeunload",Bs)}render(){let e=l.secret,{created:s}=this,n=tn(this.baseUrl)[this.language];return a`
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
@focus=${i=>i.target.select()}
/>
<rally-copy-button primary .text=${s.key} label=${e.copy}></rally-copy-button>
</div>
<section aria-labelledby="${this.#e}-try">
<h3 id="${this.#e}-try" class="section-title">${e.snippets}</h3>
<div class="tabs" role="tablist" aria-labelledby="${this.#e}-try" @keydown=${this.#t}>
${ze.map(i=>a`<button
type="button"
role="tab"
id="${this.#e}-${i}"
class="tab"
aria-selected=${this.language===i?"true":"false"}
aria-controls="${this.#e}-snippet"
tabindex=${this.language===i?"0":"-1"}
@click=${()=>this.language=i}
>
${e[i]}
</button>`)}
</div>
<div class="snippet" role="tabpanel" id="${this.#e}-snippet" aria-labelledby="${this.#e}-${this.language}" tabindex="0">
<pre><code>${n}</code></pre>
<rally-copy-button compact .text=${n} label="${l.common.copy}: ${e[this.language]}"></rally-copy-button>
</div>
<p class="hint-text">${e.snippetHint}</p>
</section>
${this.nudge?a`<p class="note warn" role="alert">${y("warning")}<span>${e.notStored}</span></p>`:d}
`}#t};u([h({attribute:!1})],we.prototype,"created",2),u([h()],we.prototype,"baseUrl",2),u([h({type:Boolean})],we.prototype,"nudge",2),u([m()],we.prototype,"language",2);k("rally-secret-panel",we);var Bs=t=>t.preventDefault();function tn(t){let r=`${t}/api/v1/api-keys/self`;return{shell:`curl ${r} \\
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
console.log((await response.json()).name);`}}var zs=new Set,W=class extends P{constructor(){super(...arguments);this.granted="admin";this.creator="";this.policy=null;this.errors={};this.created=null;this.stored=!1;this.nudge=!1;this.lost=null;this.#e=Fe(null);this.#t=Date.now();this.#i=async e=>{e?.preventDefault();let s=this.form?.draft;if(s!==void 0){if(this.lost=null,this.errors=$t(s,this.#t),Object.keys(this.errors).length>0){await this.#c();return}await this.attempt(()=>this.#a(s)),await this.#c()}}}#e;#t;connectedCallback(){super.connectedCallback(),this.#n()}async#n(){try{this.policy=await this.api.policy()}catch{return}let{form:e}=this;e===null||JSON.stringify(e.draft)!==JSON.stringify(this.#e)||(this.#e=Fe(this.policy),e.draft=this.#e)}get form(){return this.find("rally-key-form")}mayClose(){return this.created===null?super.mayClose():(this.stored||(this.nudge=!0),this.stored)}render(){if(this.created!==null)return this.#r(this.created);let e=l.form;return this.frame(e.createTitle,a`<form id="create-form" novalidate @submit=${this.#i}>
${this.#s()}
<rally-key-form isNew .draft=${this.#e} .errors=${this.errors} .policy=${this.policy} granted=${this.granted} .now=${this.#t}></rally-key-form>
</form>`,a`<button type="button" class="button" ?disabled=${this.busy} @click=${()=>this.close()}>${l.common.cancel}</button>
<button type="submit" form="create-form" class="button primary" ?disabled=${this.busy||this.lost?.state==="checking"}>
${this.busy?e.creating:e.create}
</button>`,{wide:!0})}#s(){let{lost:e}=this,s=l.form;if(e!==null){let n={checking:s.unknownChecking,"not-created":s.unknownNotFound,created:s.unknownFound(this.form?.draft.name.trim()??"")}[e.state];return a`<div class="problem warn" role="alert" tabindex="-1" data-lost=${e.state}>
${y("warning")}
<div class="problem-text">
<p class="problem-title">${s.unknownTitle}</p>
<p>${n}</p>
${e.state==="created"?a`<button type="button" class="button" ?disabled=${this.busy} @click=${()=>this.#l(e.keys)}>${s.unknownRetry}</button>`:d}
</div>
</div>`}return this.error===null||Object.keys(this.errors).length>0?d:a`<rally-error-box .error=${this.error} retry @retry=${this.#i}></rally-error-box>`}#r(e){let s=l.secret;return this.frame(s.createdTitle,a`<rally-secret-panel .created=${e} baseUrl=${this.api.baseUrl} ?nudge=${this.nudge&&!this.stored}></rally-secret-panel>`,a`<label class="confirm">
<input type="checkbox" .checked=${this.stored} @change=${n=>this.stored=n.target.checked} />
<span>${s.stored}</span>
</label>
<button type="button" class="button primary" ?disabled=${!this.stored} @click=${()=>this.close()}>${s.done}</button>`,{wide:!0,closable:!1})}#i;async#a(e){let s=Date.now();try{this.created=await this.api.create(Ds(e,this.#t),crypto.randomUUID())}catch(n){let i=G(n);if(i.outcomeUnknown){await this.#o(e,s);return}throw this.errors=gt(i,e)??{},i}zs.add(this.created.id),this.emit("key-created",this.created.id),await this.updateComplete,this.find("[data-secret]")?.focus()}async#o(e,s){this.lost={state:"checking"};let n=e.name.trim();try{let{items:i}=await this.api.list({search:n,sort:"-createdAt",limit:50,status:"active"}),o=i.filter(c=>c.name===n&&c.createdBy===this.creator&&c.lastUsedAt===null&&Date.parse(c.createdAt)>s-6e4&&!zs.has(c.id));this.lost=o.length>0?{state:"created",keys:o}:{state:"not-created"}}catch(i){throw this.lost=null,i instanceof M?i:G(i)}}async#l(e){await this.attempt(async()=>{let s=e[0];s!==void 0&&(await this.api.revoke(s.id),this.emit("key-revoked",s.id)),this.lost=null}),this.error===null&&await this.#i()}async#c(){await this.updateComplete,await this.form?.updateComplete,this.find('[aria-invalid="true"]')?.focus()}};u([h()],W.prototype,"granted",2),u([h()],W.prototype,"creator",2),u([m()],W.prototype,"policy",2),u([m()],W.prototype,"errors",2),u([m()],W.prototype,"created",2),u([m()],W.prototype,"stored",2),u([m()],W.prototype,"nudge",2),u([m()],W.prototype,"lost",2);k("rally-create-dialog",W);var bt=120,We=28;function Ws(t){let r=t.reduce((o,c)=>o+c,0),e=l.list.usage(w(r)),s=Math.max(1,...t),n=bt/t.length,i=t.map((o,c)=>{if(o===0)return"";let p=Math.max(2,Math.round(o/s*We));return`M${(c*n).toFixed(1)} ${We-p}h${(n-1).toFixed(1)}v${p}h-${(n-1).toFixed(1)}z`});return a`<span class="spark" title=${e}>
<svg class="spark-chart" role="img" aria-label=${e} viewBox="0 0 ${bt} ${We}" width=${bt} height=${We}>
${$e`<path class="spark-base" d="M0 ${We-.5}H${bt}"/><path class="spark-bars" d=${i.join("")}/>`}
</svg>
<span class="spark-total" aria-hidden="true">${dt(r)}</span>
</span>`}var Ye=720,Pe=160,Ft=["expired","scope","revoked","suspended","address","rateLimit","quota"],_e=class extends E{constructor(){super(...arguments);this.buckets=[];this.interval="day";this.selected=null;this.#i=e=>{let s=e.currentTarget.getBoundingClientRect(),n=Math.floor((e.clientX-s.left)/s.width*this.buckets.length);this.selected=Math.max(0,Math.min(this.buckets.length-1,n))};this.#a=e=>{let s=this.buckets.length-1,n=this.selected??s+1,o={ArrowLeft:Math.max(0,n-1),ArrowRight:Math.min(s,n+1),Home:0,End:s,Escape:null}[e.key];o===void 0||e.key==="Escape"&&this.selected===null||(e.preventDefault(),this.selected=o)}}willUpdate(e){e.has("buckets")&&(this.selected=null)}render(){let{buckets:e}=this,s=Bt(e.map(c=>c.requests)),n=Bt(e.map(c=>c.denied)),i=Ft.filter(c=>e.some(p=>p.deniedByReason[c]>0)),o=sn(Math.max(1,...e.map(c=>c.requests)));return a`
<div class="chart-numbers">
<span><span class="big">${w(s-n)}</span> ${l.usage.accepted.toLowerCase()}</span>
<span class=${n>0?"refused":"muted"}><span class="big">${w(n)}</span> ${l.usage.refused("").trim()}</span>
</div>
<div class="chart-frame">
<div class="chart-scale" aria-hidden="true"><span>${dt(o)}</span><span>${o>1?dt(o/2):""}</span><span>0</span></div>
<svg
class="chart"
part="chart"
role="img"
tabindex="0"
aria-label="${l.usage.chart}: ${l.usage.total(w(s))}, ${l.usage.refused(w(n))}. ${l.usage.readout}"
viewBox="0 0 ${Ye} ${Pe}"
preserveAspectRatio="none"
@keydown=${this.#a}
@pointermove=${this.#i}
@pointerleave=${()=>this.selected=null}
>
${$e`<path class="chart-grid" d="M0 .5H${Ye}M0 ${Pe/2}H${Ye}M0 ${Pe-.5}H${Ye}"/>`}
${e.map((c,p)=>this.#e(c,p,o))}
</svg>
<div class="chart-axis" aria-hidden="true">${this.#t()}</div>
</div>
<p class="chart-readout" aria-live="polite">${this.#s(s)}</p>
<ul class="legend">
<li><span class="swatch accepted"></span>${l.usage.accepted}</li>
${i.map(c=>{let p=Bt(e.map(v=>v.deniedByReason[c]));return a`<li><span class="swatch ${c}"></span>${l.usage.reasons[c]} <b>${w(p)}</b></li>`})}
</ul>
${s===0?d:this.#r(i)}
`}#e(e,s,n){let i=Ye/this.buckets.length,o=Math.min(2,i*.2),c=s*i+o/2,p=i-o,v=Pe,f=(b,g)=>{if(g===0)return d;let $=Math.max(1.5,g/n*(Pe-1));return v-=$,$e`<rect class="bar ${b}" x=${c} y=${v} width=${p} height=${$} />`};return $e`<g class=${s===this.selected?"bucket selected":"bucket"}>
<rect class="bucket-back" x=${s*i} y="0" width=${i} height=${Pe} />
${f("accepted",e.requests-e.denied)}
${Ft.map(b=>f(b,e.deniedByReason[b]))}
</g>`}#t(){let{buckets:e}=this;return[0,Math.floor((e.length-1)/2),e.length-1].filter((n,i,o)=>o.indexOf(n)===i).map(n=>{let i=e[n];if(i===void 0)return d;let o=this.interval==="hour"&&e.length<=25;return a`<span>${o?Us(i.start):this.interval==="hour"?Ht(i.start):Ls(i.start)}</span>`})}#n(e){return this.interval==="hour"?Ht(e.start):qs(e.start)}#s(e){if(e===0)return l.usage.nothing;let s=this.selected===null?void 0:this.buckets[this.selected];if(s===void 0)return l.usage.readout;let n=Ft.filter(o=>s.deniedByReason[o]>0).map(o=>`${l.usage.reasons[o]} ${w(s.deniedByReason[o])}`).join(", "),i=s.denied>0?`, ${l.usage.refused(w(s.denied))} (${n})`:"";return a`<b>${this.#n(s)}</b>: ${l.usage.total(w(s.requests))}${i}`}#r(e){let s=this.buckets.filter(n=>n.requests>0).reverse();return a`<details class="chart-table">
<summary>${l.usage.table}</summary>
<div class="scroll" tabindex="0" role="region" aria-label=${l.usage.chart}>
<table class="plain">
<thead>
<tr>
<th scope="col">${l.usage.columnStart}</th>
<th scope="col" class="number">${l.usage.columnRequests}</th>
<th scope="col" class="number">${l.usage.columnRefused}</th>
${e.map(n=>a`<th scope="col" class="number">${l.usage.reasons[n]}</th>`)}
</tr>
</thead>
<tbody>
${s.map(n=>a`<tr>
<th scope="row">${this.#n(n)}</th>
<td class="number">${w(n.requests)}</td>
<td class="number">${w(n.denied)}</td>
${e.map(i=>a`<td class="number">${w(n.deniedByReason[i])}</td>`)}
</tr>`)}
</tbody>
</table>
</div>
</details>`}#i;#a};u([h({attribute:!1})],_e.prototype,"buckets",2),u([h()],_e.prototype,"interval",2),u([m()],_e.prototype,"selected",2);k("rally-usage-chart",_e);var Bt=t=>t.reduce((r,e)=>r+e,0);function sn(t){let r=10**Math.floor(Math.log10(t));return([1,2,3,4,5,6,8,10].find(e=>e*r>=t)??10)*r}var Ve={status:null,mark:null,search:"",scope:null,createdBy:null,sort:"-createdAt"},Vs=t=>t.status!==null||t.mark!==null||t.search!==""||t.scope!==null||t.createdBy!==null,rn=7*x,Ys=100,Qs="active,suspended";async function Gs(t,r,e,s){if(r.mark==="oldSecret"){let p=(await Js(t)).filter(v=>nn(v,r));return{items:p,next:null,total:p.length}}let n={...zt(r),sort:r.sort,limit:e,include:"usage"};if(s!==null&&(n.cursor=s),r.mark!=="neverUsed")return t.list(n);let i=await t.list({...n,sort:"lastUsedAt"}),o=i.items.filter(p=>p.lastUsedAt===null),c=o.length<i.items.length;return{items:o,next:c?null:i.next,total:c&&s===null?o.length:null}}function zt(t){let r={};return t.status!==null&&(r.status=t.status),t.search!==""&&(r.search=t.search),t.scope!==null&&(r.scope=t.scope),t.createdBy!==null&&(r.createdBy=t.createdBy),t.mark!==null&&(r.status=Qs),t.mark==="idle"&&(r.unusedForDays=90),t.mark==="expiring"&&(r.expiresBefore=new Date(Date.now()+30*x).toISOString()),r}function nn(t,{search:r,scope:e,createdBy:s}){let n=`${t.name}
${t.description??""}
${t.keyHint.slice(-4)}`.toLowerCase(),i=["read","write","admin"];return n.includes(r.toLowerCase())&&(e===null||i.indexOf(q(t.scopes))>=i.indexOf(e))&&(s===null||t.createdBy===s)}async function Js(t){let r=Date.now()-rn,e=new Set,s;for(;;){let i=await t.events({type:"rotated",limit:200,...s===void 0?{}:{cursor:s}});for(let c of i.items)Date.parse(c.occurredAt)>=r&&c.keyId!==null&&e.add(c.keyId);let o=i.items.at(-1);if(i.next===null||o===void 0||Date.parse(o.occurredAt)<r)break;s=i.next}return(await Promise.all([...e].map(async i=>(await t.key(i)).value))).filter(i=>pt(i).includes("oldSecret"))}async function Zs(t,r){let e={statuses:{},marks:{}},s=async i=>{try{await i(),r({statuses:{...e.statuses},marks:{...e.marks}})}catch{}},n=["active","suspended","expired","revoked"].map(i=>s(async()=>{e.statuses[i]=await t.count({status:i})}));await Promise.all([s(async()=>{e.statuses.all=await t.count({})}),...n,s(async()=>{e.marks.idle={count:await t.count(zt({...Ve,mark:"idle"}))}}),s(async()=>{e.marks.expiring={count:await t.count(zt({...Ve,mark:"expiring"}))}}),s(async()=>{let{items:i}=await t.list({status:Qs,sort:"lastUsedAt",limit:Ys}),o=i.filter(c=>c.lastUsedAt===null).length;e.marks.neverUsed={count:o,atLeast:o===Ys}}),s(async()=>{e.marks.oldSecret={count:(await Js(t)).length}})])}var on=["active","suspended","expired","revoked"],an=["oldSecret","expiring","idle","neverUsed"],ln=250,Y=class extends E{constructor(){super();this.me=null;this.mayCreate=!1;this.pageSize=50;this.keyUrl="";this.filters=Ve;this.counts={statuses:{},marks:{}};this.cursors=[null];this.page=new N(this);this.#e=R();this.#t=R();this.#n=R();this.#s=R();this.#r=!1;this.#A=e=>{let s=e.target.value.trim();clearTimeout(this.#i),this.#i=setTimeout(()=>{s!==this.filters.search&&this.#o({search:s})},ln)};new Se(this)}#e;#t;#n;#s;#r;#i;willUpdate(e){e.has("api")&&this.reload()}async reload(){await this.#a()&&await Zs(this.api,e=>this.counts=e)}updated(){this.#r||this.page.value===void 0||(this.#r=!0,performance.mark("rally-list"))}focusKey(e){this.find(`[data-key="${CSS.escape(e)}"] .key-name`)?.focus()}#a(){let{filters:e}=this;return this.page.run(()=>Gs(this.api,e,this.pageSize,this.cursors.at(-1)??null))}#o(e){this.filters={...this.filters,...e},this.cursors=[null],this.#a()}render(){let{value:e,error:s,slow:n}=this.page,i=e!==void 0&&e.items.length===0&&!Vs(this.filters)&&this.cursors.length===1;return a`
<div class="view-head">
<div>
<h1 class="title" tabindex="-1">${l.list.title}</h1>
<p class="muted">${l.list.intro}</p>
</div>
${this.mayCreate&&!i?a`<button type="button" class="button primary" part="create" @click=${()=>this.emit("create")}>
${y("plus")} ${l.list.create}
</button>`:d}
</div>
${i&&s===null?this.#l():this.#c(e)}
${n?a`<p class="slow" role="status">${l.common.slow}</p>`:d}
`}#l(){return a`<section class="empty" part="empty">
<span class="empty-icon">${y("key")}</span>
<h2>${l.list.emptyTitle}</h2>
<p>${l.list.emptyText}</p>
${this.mayCreate?a`<ul>
${l.list.emptyPoints.map(e=>a`<li>${y("check")}<span>${e}</span></li>`)}
</ul>
<button type="button" class="button primary" part="create" @click=${()=>this.emit("create")}>
${y("plus")} ${l.list.create}
</button>`:a`<p class="muted">${l.list.emptyReader}</p>`}
</section>`}#c(e){let{error:s,busy:n}=this.page;return a`
${this.#y()}
${s===null?d:a`<rally-error-box .error=${s} retry auto @retry=${()=>this.reload()}></rally-error-box>`}
${e===void 0?s===null?this.#g():d:e.items.length===0?this.#$():this.#b(e,n)}
<p class="visually-hidden" role="status">${e===void 0||n?"":l.list.found(e.items.length)}</p>
`}#y(){let e=l.list,{filters:s}=this;return a`
<div class="filters" role="group" aria-label=${e.statusFilter}>
${this.#h(null,e.all)}
${on.map(n=>this.#h(n,l.status[n]))}
</div>
<div class="tools">
<div class="search">
<label class="visually-hidden" for=${this.#e}>${e.search}</label>
${y("search")}
<input
id=${this.#e}
type="search"
maxlength="100"
autocomplete="off"
placeholder=${e.searchPlaceholder}
.value=${s.search}
@input=${this.#A}
/>
</div>
<div class="select">
<label for=${this.#t}>${e.scope}</label>
<select id=${this.#t} @change=${n=>this.#o({scope:Wt(n)||null})}>
<option value="">${e.scopeAny}</option>
${ce.map(n=>a`<option value=${n} ?selected=${s.scope===n}>${l.scopes[n]}</option>`)}
</select>
</div>
<div class="select">
<label for=${this.#n}>${e.createdBy}</label>
<select id=${this.#n} @change=${n=>this.#o({createdBy:Wt(n)||null})}>
<option value="">${e.createdByAnyone}</option>
${this.#u().map(n=>a`<option value=${n} ?selected=${s.createdBy===n}>${n===this.#d()?e.createdByMe:re(n)}</option>`)}
</select>
</div>
<div class="select">
<label for=${this.#s}>${e.sort}</label>
<select id=${this.#s} ?disabled=${s.mark==="neverUsed"||s.mark==="oldSecret"} @change=${n=>this.#o({sort:Wt(n)})}>
${Object.entries(e.sorts).map(([n,i])=>a`<option value=${n} ?selected=${s.sort===n}>${i}</option>`)}
</select>
</div>
</div>
<div class="chips" role="group" aria-label=${e.marksFilter}>
<span class="chips-label" aria-hidden="true">${e.marksFilter}</span>
${an.map(n=>this.#f(n))}
</div>
`}#h(e,s){let n=this.counts.statuses[e??"all"],i=this.filters.status===e&&this.filters.mark===null;return a`<button type="button" class="filter" aria-pressed=${i?"true":"false"} @click=${()=>this.#o({status:e,mark:null})}>
${s} ${n===void 0?d:a`<span class="count">${n===null?l.list.more(w(1e4)):w(n)}</span>`}
</button>`}#f(e){let s=this.counts.marks[e],n=this.filters.mark===e,i=s?.count===0&&!n,o=s===void 0?d:a`<span class="count">${s.count===null?l.list.more(w(1e4)):s.atLeast?l.list.more(w(s.count)):w(s.count)}</span>`;return a`<button
type="button"
class=${i?"chip none":"chip"}
aria-pressed=${n?"true":"false"}
@click=${()=>this.#o({mark:n?null:e,status:null})}
>
${l.list[e]} ${o}
</button>`}#$(){return a`<section class="empty small">
<h2>${l.list.nothingFound}</h2>
<p>${l.list.nothingFoundHint}</p>
<button type="button" class="button" @click=${()=>this.#o({...Ve,sort:this.filters.sort})}>${l.list.clear}</button>
</section>`}#g(){return a`<div class="skeleton" role="status" aria-label=${l.common.loading}>
${[0,1,2,3,4].map(()=>a`<div class="skeleton-row"><span></span><span></span><span></span></div>`)}
</div>`}#b(e,s){let n=l.list,i=e.items.some(o=>o.usage!==void 0);return a`
<table class=${s?"keys busy":"keys"} part="list" role="table" aria-label=${n.title} aria-busy=${s?"true":"false"}>
<thead role="rowgroup">
<tr role="row">
${this.#p(n.columnName,"name")}
<th scope="col" role="columnheader">${n.columnScopes}</th>
${i?a`<th scope="col" role="columnheader">${n.columnUsage}</th>`:d}
${this.#p(n.columnLastUsed,"-lastUsedAt")}
${this.#p(n.columnExpires,"expiresAt")}
${this.#p(n.columnCreated,"-createdAt")}
<th scope="col" role="columnheader">${n.columnStatus}</th>
</tr>
</thead>
<tbody role="rowgroup">
${e.items.map(o=>this.#v(o,i))}
</tbody>
</table>
${this.#x(e)}
`}#p(e,s){let n=s.startsWith("-")?s.slice(1):`-${s}`,{sort:i}=this.filters,c=i===s||i===n?i.startsWith("-")?"descending":"ascending":"none";return a`<th scope="col" role="columnheader" aria-sort=${c}>
<button type="button" class="sort" @click=${()=>this.#o({sort:i===s?n:s})}>${e}</button>
</th>`}#v(e,s){let n=l.list,i=pt(e);return a`<tr role="row" part="row" data-key=${e.id} class=${e.isActive?"key":"key inactive"} @click=${o=>this.#k(o,e)}>
<th scope="row" role="rowheader" class="cell-name">
${this.#w(e)}
${e.description===null?d:a`<span class="description" title=${e.description}>${e.description}</span>`}
<span class="under"><code class="hint">${e.keyHint}</code>${i.map(o=>Os(o,e))}</span>
</th>
<td role="cell" data-label=${n.columnScopes}>${Is(e.scopes)}</td>
${s?a`<td role="cell" class="cell-usage" data-label=${n.columnUsage}>${e.usage===void 0?d:Ws(e.usage)}</td>`:d}
<td role="cell" data-label=${n.columnLastUsed}>${I(e.lastUsedAt,a`<span class="muted">${l.time.never}</span>`)}</td>
<td role="cell" data-label=${n.columnExpires}>${I(e.expiresAt,a`<span class="muted">${l.time.never}</span>`)}</td>
<td role="cell" class="cell-created" data-label=${n.columnCreated}>
<time datetime=${e.createdAt} title=${le(e.createdAt)}>${Dt(e.createdAt)}</time>
${e.createdBy===null?d:a`<span class="muted creator" title=${e.createdBy}>${n.by(re(e.createdBy))}</span>`}
</td>
<td role="cell" class="cell-status" data-label=${n.columnStatus}>${ut(e)}</td>
</tr>`}#w(e){let s=n=>{n.ctrlKey||n.metaKey||n.shiftKey||(n.preventDefault(),this.emit("open-key",e.id))};return this.keyUrl===""?a`<button type="button" class="key-name link" @click=${s}>${e.name}</button>`:a`<a class="key-name link" href=${this.keyUrl.replace("{id}",e.id)} @click=${s}>${e.name}</a>`}#k(e,s){e.defaultPrevented||e.target.closest("a, button")!==null||String(getSelection())!==""||this.emit("open-key",s.id)}#x(e){let s=l.list,n=(this.cursors.length-1)*this.pageSize+1,i=n+e.items.length-1,o=[w(n),w(i)];return a`<nav class="pages" aria-label=${s.pages}>
<span class="muted">${e.total===null?s.rangeOpen(...o):s.range(...o,w(e.total))}</span>
<button type="button" class="button" ?disabled=${this.cursors.length===1} @click=${()=>this.#m(this.cursors.slice(0,-1))}>${y("back")} ${s.previous}</button>
<button type="button" class="button" ?disabled=${e.next===null} @click=${()=>this.#m([...this.cursors,e.next])}>${s.next} ${y("forward")}</button>
</nav>`}async#m(e){this.cursors=e,await this.#a(),this.find(".keys")?.scrollIntoView({block:"nearest"})}#d(){let e=this.me?.principal;return e===void 0?null:e.kind==="user"?e.name:`api-key:${e.id}`}#u(){let e=new Set(this.page.value?.items.flatMap(n=>n.createdBy??[])??[]);this.filters.createdBy!==null&&e.add(this.filters.createdBy);let s=this.#d();return s!==null&&e.delete(s),[...s===null?[]:[s],...[...e].sort()]}#A};u([h({attribute:!1})],Y.prototype,"api",2),u([h({attribute:!1})],Y.prototype,"me",2),u([h({type:Boolean})],Y.prototype,"mayCreate",2),u([h({type:Number})],Y.prototype,"pageSize",2),u([h()],Y.prototype,"keyUrl",2),u([m()],Y.prototype,"filters",2),u([m()],Y.prototype,"counts",2),u([m()],Y.prototype,"cursors",2);k("rally-key-list",Y);var Wt=t=>t.target.value;var L=l.events;function tr(t,r,e){let s=r===null?L.thisKey:L.key(r);return L.sentence[t.type]?.(re(t.actor,e),s)??t.type}function ca(t){let r=t.details;return typeof r.name=="string"?r.name:r.name?.to??null}function sr(t){switch(t.type){case"created":case"revoked":{let{scopes:r,expiresAt:e,keyHint:s}=t.details,n=e===null?L.endsNever:L.ends(D(e));return[L.secret(s),L.granted(l.scopes[q(r)]),...t.type==="created"?[n]:[]]}case"updated":return Xs(t.details);case"rotated":{let{previousKeyHint:r,previousExpiresAt:e,keyHint:s}=t.details;return[L.newSecret(s),e===null?L.overlapNone(r):L.overlap(r,D(e))]}case"previous_secret_ended":return[L.secret(t.details.previousKeyHint)];case"suspended":case"resumed":{let{until:r,reason:e}=t.details;return[...r===null?[]:[L.until(D(r))],...e===null?[]:[L.reason(e)]]}case"secret_reused":return[L.secret(t.details.keyHint)];case"policy_changed":{let{from:r,to:e}=t.details,s=Object.keys(e).filter(n=>JSON.stringify(r[n])!==JSON.stringify(e[n]));return Xs(Object.fromEntries(s.map(n=>[n,{from:r[n],to:e[n]}])))}default:return[]}}function Xs(t){return Object.entries(t).flatMap(([r,e])=>{let s=L.fields[r];return s===void 0?[]:[L.change(s,er(r,e.from),er(r,e.to))]})}function er(t,r){return r==null||r===""?t==="expiresAt"?l.time.never:l.common.none:t==="scopes"||t==="allowedScopes"?l.scopes[q(String(r))]:t==="expiresAt"?D(String(r)):t==="rateLimit"||t==="defaultRateLimit"?Re(r):t==="quota"?ve(r):Array.isArray(r)?r.length===0?l.common.any:r.join(", "):typeof r=="number"?w(r):String(r)}var cn={created:"good",revoked:"bad",secret_reused:"bad",suspended:"warn",rotated:"accent",resumed:"good"},rr=t=>a`<span class="dot ${cn[t.type]??""}" aria-hidden="true"></span>`;var dn=["name","description","scopes","expiresAt","allowedAddresses","rateLimit","quota"],Z=class extends P{constructor(){super(...arguments);this.granted="admin";this.policy=null;this.errors={};this.conflict=null;this.#e=Date.now();this.#s=async e=>{e?.preventDefault();let s=this.form?.draft;if(s!==void 0){if(this.draft=s,this.errors=$t(s,this.#e),Object.keys(this.errors).length===0){let n=Hs(s,this.base.value,this.#e);if(Object.keys(n).length===0){this.close();return}await this.attempt(()=>this.#r(n))}await this.updateComplete,await this.form?.updateComplete,this.find('[aria-invalid="true"]')?.focus()}};this.#a=()=>{this.emit("key-changed",this.base.value.id),this.close()};this.#o=async()=>{let{conflict:e}=this;e!==null&&await this.attempt(async()=>{let s=this.base;this.base=e.theirs;try{await this.#r(e.mine)}catch(n){throw this.base=s,Object.keys(this.errors).length>0&&(this.conflict=null),n}})}}#e;connectedCallback(){super.connectedCallback(),this.base=this.opened,this.draft=jt(this.base.value),this.api.policy().then(e=>this.policy=e,()=>{})}get form(){return this.find("rally-key-form")}render(){return this.conflict===null?this.#t():this.#n(this.conflict)}#t(){let e=this.error!==null&&Object.keys(this.errors).length===0;return this.frame(l.form.editTitle,a`<form id="edit-form" novalidate @submit=${this.#s}>
${e?a`<rally-error-box .error=${this.error} retry @retry=${this.#s}></rally-error-box>`:d}
<rally-key-form
.draft=${this.draft}
.errors=${this.errors}
.policy=${this.policy}
.currentEnd=${this.base.value.expiresAt}
granted=${this.granted}
.now=${this.#e}
></rally-key-form>
</form>`,a`<button type="button" class="button" ?disabled=${this.busy} @click=${()=>this.close()}>${l.common.cancel}</button>
<button type="submit" form="edit-form" class="button primary" ?disabled=${this.busy}>${this.busy?l.common.saving:l.common.save}</button>`,{wide:!0})}#n({theirs:e,mine:s,actor:n,at:i}){let o=l.conflict,c=this.base.value,p=dn.filter(f=>f in s||Yt(c[f],e.value[f])),v=e.value.status==="revoked";return this.frame(o.title,a`<div class="conflict" role="alert">
${i===null?d:a`<p>${o.by(re(n))} ${I(i)}.</p>`}
${v?a`<p class="field-error">${o.revoked}</p>`:d}
${this.error===null?d:a`<rally-error-box .error=${this.error}></rally-error-box>`}
<div class="scroll" tabindex="0" role="region" aria-label=${o.title}>
<table class="plain compare">
<thead>
<tr><th scope="col">${o.field}</th><th scope="col">${o.before}</th><th scope="col">${o.theirs}</th><th scope="col">${o.yours}</th></tr>
</thead>
<tbody>
${p.map(f=>a`<tr>
<th scope="row">${l.events.fields[f]}</th>
<td>${Vt(c,f)}</td>
<td class=${Yt(c[f],e.value[f])?"differs":""}>${Yt(c[f],e.value[f])?Vt(e.value,f):a`<span class="muted">${o.unchanged}</span>`}</td>
<td class=${f in s?"differs":""}>${f in s?Vt({...c,...s},f):a`<span class="muted">${o.unchanged}</span>`}</td>
</tr>`)}
</tbody>
</table>
</div>
</div>`,a`<button type="button" class="button" data-focus ?disabled=${this.busy} @click=${this.#a}>${o.takeTheirs}</button>
${v?d:a`<button type="button" class="button primary" ?disabled=${this.busy} @click=${this.#o}>${this.busy?l.common.saving:o.saveMine}</button>`}`,{wide:!0})}#s;async#r(e){try{let s=await this.api.update(this.base.value.id,e,this.base.etag);this.emit("key-changed",s.value.id),this.busy=!1,this.close()}catch(s){let n=G(s);if(n.code==="precondition_failed"||n.code==="key_revoked"){await this.#i(e);return}throw this.errors=gt(n,this.draft)??{},n}}async#i(e){let[s,n]=await Promise.all([this.api.key(this.base.value.id),this.api.keyEvents(this.base.value.id,{limit:1})]),i=n.items[0];this.conflict={theirs:s,mine:e,actor:i?.actor??null,at:i?.occurredAt??null},await this.updateComplete,this.find("[data-focus]")?.focus()}#a;#o};u([h({attribute:!1})],Z.prototype,"opened",2),u([h()],Z.prototype,"granted",2),u([m()],Z.prototype,"base",2),u([m()],Z.prototype,"policy",2),u([m()],Z.prototype,"errors",2),u([m()],Z.prototype,"conflict",2),u([m()],Z.prototype,"draft",2);k("rally-edit-dialog",Z);var Yt=(t,r)=>JSON.stringify(t)!==JSON.stringify(r);function Vt(t,r){switch(r){case"scopes":return l.scopes[q(t.scopes)];case"expiresAt":return t.expiresAt===null?l.time.never:D(t.expiresAt);case"allowedAddresses":return t.allowedAddresses.length===0?l.key.addressesAny:t.allowedAddresses.join(", ");case"rateLimit":return Re(t.rateLimit);case"quota":return ve(t.quota);default:return t[r]??l.common.none}}var Qt=(t,r=Date.now())=>t.filter(e=>r-Date.parse(e.lastSeenAt)<x),Qe=t=>t.address===null?a`<span title=${l.key.callerManyHint}>${l.key.callerMany}</span>`:a`<code>${t.address}</code>`,Ge=t=>t.userAgent===null?t.address===null?d:a`<span class="muted">${l.key.callerNoProgram}</span>`:a`<span class="program" title=${t.userAgent}>${t.userAgent}</span>`;function Ce(t){let r=l.revoke,e=Qt(t);return e.length===0?a`<p class="note good">${r.recentNone}</p>`:a`<div class="note warn block">
<p><b>${r.recent}</b></p>
<ul class="caller-list">
${e.slice(0,5).map(s=>a`<li>${Qe(s)} ${Ge(s)} <span class="muted">${I(s.lastSeenAt)}</span></li>`)}
${e.length>5?a`<li class="muted">+ ${w(e.length-5)}</li>`:d}
</ul>
</div>`}var ne=l.revoke,qe=class extends P{constructor(){super(...arguments);this.typed="";this.mismatch=!1;this.callers=new N(this);this.#e=R();this.#r=()=>{this.close(),this.emit("suspend-instead")};this.#i=async e=>{if(e.preventDefault(),this.mismatch=this.#t&&this.typed.trim()!==this.key.name,this.mismatch){await this.updateComplete,this.find('[aria-invalid="true"]')?.focus();return}await this.attempt(async()=>{await this.api.revoke(this.key.id),this.emit("key-revoked",this.key.id),this.busy=!1,this.close()})}}#e;connectedCallback(){super.connectedCallback(),this.callers.run(()=>this.api.callers(this.key.id))}get#t(){let{value:e}=this.callers;return this.key.status==="expired"?!1:e===void 0?this.callers.error!==null:Qt(e).length>0}render(){let{key:e}=this,s=e.status==="active";return this.frame(ne.title(e.name),a`<form id="revoke-form" novalidate @submit=${this.#i}>
${this.error===null?d:a`<rally-error-box .error=${this.error} retry @retry=${this.#i}></rally-error-box>`}
<p>${ne.lead}</p>
${this.#n()}
${s?a`<p class="suggestion">
<span>${ne.suspendFirst}</span>
<button type="button" class="button" @click=${this.#r}>${y("pause")} ${ne.suspendInstead}</button>
</p>`:d}
${this.#t?this.#s():d}
</form>`,a`<button type="button" class="button" data-focus ?disabled=${this.busy} @click=${()=>this.close()}>${l.common.cancel}</button>
<button type="submit" form="revoke-form" class="button danger" ?disabled=${this.busy||this.callers.value===void 0&&this.callers.error===null}>
${this.busy?ne.busy:ne.submit}
</button>`)}#n(){let{value:e,error:s}=this.callers;return e!==void 0?Ce(e):s===null?a`<p class="muted" role="status">${l.common.loading}</p>`:a`<p class="note warn">${y("warning")}<span>${ne.recentUnknown}</span></p>`}#s(){return a`<div class="field">
<label for="${this.#e}-name">${ne.typeName(this.key.name)}</label>
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
${this.mismatch?a`<p class="field-error">${y("warning")}<span>${ne.typeMismatch}</span></p>`:d}
</div>
</div>`}#r;#i};u([h({attribute:!1})],qe.prototype,"key",2),u([m()],qe.prototype,"typed",2),u([m()],qe.prototype,"mismatch",2);k("rally-revoke-dialog",qe);var O=l.rotate,un=[[86400,O.day],[604800,O.week],[3600,O.hour],[0,O.none]],X=class extends P{constructor(){super(...arguments);this.callers=null;this.overlap=86400;this.created=null;this.stored=!1;this.nudge=!1;this.lost=null;this.#e=null;this.#t=R();this.#s=async()=>{this.lost=null,await this.attempt(async()=>{let{id:e}=this.opened.value;try{this.created=await this.api.rotate(e,this.overlap,this.#e??"",crypto.randomUUID())}catch(s){let n=G(s);if(!n.outcomeUnknown)throw n;await this.#r(e);return}this.emit("key-rotated",e),await this.updateComplete,this.find("[data-secret]")?.focus()})}}#e;#t;connectedCallback(){super.connectedCallback(),this.#e=this.opened.etag}mayClose(){return this.created===null?super.mayClose():(this.stored||(this.nudge=!0),this.stored)}render(){if(this.created!==null)return this.#n(this.created);let e=this.opened.value,s=e.expiresAt!==null&&Date.parse(e.expiresAt)<Date.now()+this.overlap*1e3?e.expiresAt:null;return this.frame(O.title(e.name),a`
${this.lost===null?d:a`<p class="note warn" role="alert" data-lost=${this.lost}>${y("warning")}<span>${this.lost==="done"?O.unknownDone:O.unknownNot}</span></p>`}
${this.error===null?d:a`<rally-error-box .error=${this.error} retry @retry=${this.#s}></rally-error-box>`}
<p>${O.lead}</p>
<ol class="steps">${O.steps.map(n=>a`<li>${n}</li>`)}</ol>
<fieldset class="field">
<legend>${O.overlap}</legend>
<div class="segments">
${un.map(([n,i],o)=>a`<label class="segment">
<input type="radio" ?data-focus=${o===0} name=${this.#t} .checked=${this.overlap===n} @change=${()=>this.overlap=n} />
<span>${i}</span>
</label>`)}
</div>
<p class=${this.overlap===0?"note warn":"hint-text"} aria-live="polite">
${this.overlap===0?a`${y("warning")}<span>${O.noneHint}</span>`:s===null?d:O.capped(D(s))}
</p>
</fieldset>
${e.rotation===null?d:a`<p class="note warn">${y("warning")}<span>${O.already(e.rotation.previousKeyHint)}</span></p>`}
${this.callers===null?d:Ce(this.callers)}
`,a`<button type="button" class="button" ?disabled=${this.busy} @click=${()=>this.close()}>${l.common.cancel}</button>
<button type="button" class="button primary" ?disabled=${this.busy} @click=${this.#s}>${this.busy?O.busy:O.submit}</button>`)}#n(e){return this.frame(l.secret.rotatedTitle,a`<rally-secret-panel .created=${e} baseUrl=${this.api.baseUrl} ?nudge=${this.nudge&&!this.stored}></rally-secret-panel>`,a`<label class="confirm">
<input type="checkbox" .checked=${this.stored} @change=${s=>this.stored=s.target.checked} />
<span>${l.secret.stored}</span>
</label>
<button type="button" class="button primary" ?disabled=${!this.stored} @click=${()=>this.close()}>${l.secret.done}</button>`,{wide:!0,closable:!1})}#s;async#r(e){let{value:s,etag:n}=await this.api.key(e);this.lost=s.keyHint===this.opened.value.keyHint?"not-done":"done",this.#e=n,this.opened={value:s,etag:n},this.lost==="done"&&this.emit("key-changed",e)}};u([h({attribute:!1})],X.prototype,"opened",2),u([h({attribute:!1})],X.prototype,"callers",2),u([m()],X.prototype,"overlap",2),u([m()],X.prototype,"created",2),u([m()],X.prototype,"stored",2),u([m()],X.prototype,"nudge",2),u([m()],X.prototype,"lost",2);k("rally-rotate-dialog",X);var _=l.rotation,ee=class extends E{constructor(){super(...arguments);this.callers=null;this.secrets=[];this.mayEnd=!1;this.ends=!1;this.error=null}render(){let{rotation:e}=this.key;if(e===null)return d;let{previousKeyHint:s,previousExpiresAt:n,previousLastUsedAt:i}=e,o=this.secrets.find(({keyHint:g,retiredAt:$})=>g===s&&$!==null),c=o?.retiredAt??null,p=c===null||this.callers===null?[]:pn(this.callers,c),v=c!==null&&i!==null&&Date.parse(i)>Date.parse(c),f=[o?.lastAddress,o?.lastUserAgent].filter(Boolean).join(" · "),b=v?f===""?_.used(be(i)):_.usedBy(be(i),f):_.unused;return a`<section class="card rotation" part="rotation" aria-label=${_.title}>
<div class="card-head">
<h2 class="section-title">${y("rotate")} ${_.title}</h2>
${this.mayEnd?a`<button type="button" class="button" data-action="end-previous" @click=${()=>this.ends=!0}>${_.end}</button>`:d}
</div>
<p>${_.until(s)} ${Te(n)} <span class="muted">(${I(n)})</span>.</p>
${this.#e(c,n)}
<p class="rotation-state ${v?"warn":"good"}" aria-live="polite" data-state=${v?"used":"unused"}>
${y(v?"warning":"check")}<span>${b}</span>
</p>
${p.length===0?d:a`<ul class="programs" aria-label=${_.programs}>
${p.map(({caller:g,progress:$})=>this.#t(g,$))}
</ul>`}
${this.error===null?d:a`<rally-error-box .error=${this.error}></rally-error-box>`}
${this.ends?a`<rally-end-secret-dialog
.api=${this.api}
keyId=${this.key.id}
.usedAt=${v?i:null}
@closed=${()=>this.ends=!1}
></rally-end-secret-dialog>`:d}
</section>`}#e(e,s){if(e===null)return d;let n=Date.parse(e),i=Math.min(100,Math.max(0,Math.round((Date.now()-n)/(Date.parse(s)-n)*100)));return a`<progress class="meter" max="100" value=${i} aria-label=${_.elapsed(i)}></progress>`}#t(e,s){let n={old:_.stillOld,moved:_.moved,silent:_.silent}[s];return a`<li>
<span class="program-state ${s}">${y(s==="moved"?"check":s==="old"?"warning":"info")} ${n}</span>
<span>${Qe(e)} ${Ge(e)}</span>
<span class="muted">${I(e.lastSeenAt)}</span>
</li>`}};u([h({attribute:!1})],ee.prototype,"api",2),u([h({attribute:!1})],ee.prototype,"key",2),u([h({attribute:!1})],ee.prototype,"callers",2),u([h({attribute:!1})],ee.prototype,"secrets",2),u([h({type:Boolean})],ee.prototype,"mayEnd",2),u([m()],ee.prototype,"ends",2),u([m()],ee.prototype,"error",2);k("rally-rotation-panel",ee);function pn(t,r){let e=new Map,s=Date.parse(r);for(let i of t){let o=`${i.address}
${i.userAgent}`,p=Date.parse(i.lastSeenAt)>s?i.secret==="previous"?"old":"moved":"silent";e.has(o)||e.set(o,{caller:i,progress:p})}let n=["old","silent","moved"];return[...e.values()].sort((i,o)=>n.indexOf(i.progress)-n.indexOf(o.progress)).slice(0,10)}var Je=class extends P{constructor(){super(...arguments);this.keyId="";this.usedAt=null;this.#e=async()=>{await this.attempt(async()=>{await this.api.endPreviousSecret(this.keyId),this.busy=!1,this.emit("key-changed",this.keyId),this.close()})}}render(){return this.frame(_.endTitle,a`${this.error===null?d:a`<rally-error-box .error=${this.error} retry @retry=${this.#e}></rally-error-box>`}
<p>${_.endText}</p>
${this.usedAt===null?a`<p class="note good">${_.unused}</p>`:a`<p class="note warn">${y("warning")}<span>${_.endUsed(be(this.usedAt))}</span></p>`}`,a`<button type="button" class="button" data-focus ?disabled=${this.busy} @click=${()=>this.close()}>${l.common.cancel}</button>
<button type="button" class="button primary" ?disabled=${this.busy} @click=${this.#e}>${_.end}</button>`)}#e};u([h()],Je.prototype,"keyId",2),u([h({attribute:!1})],Je.prototype,"usedAt",2);k("rally-end-secret-dialog",Je);var C=l.suspend,hn={hour:3600,day:86400,week:604800},mn=[["resumed",C.untilResumed],["hour",C.hour],["day",C.day],["week",C.week],["custom",C.custom]],te=class extends P{constructor(){super(...arguments);this.callers=null;this.resume=!1;this.until="resumed";this.customAt=J(new Date(Date.now()+2*864e5));this.reason="";this.customError=!1;this.#e=R();this.#n=async e=>{e.preventDefault();let s=this.#s();if(this.customError=s!==null&&!(s.getTime()>Date.now()),this.customError){await this.updateComplete,this.find('[aria-invalid="true"]')?.focus();return}await this.attempt(async()=>{let{id:n}=this.key,i=this.reason.trim()||null;await(this.resume?this.api.resume(n,i):this.api.suspend(n,s?.toISOString()??null,i)),this.emit("key-changed",n),this.busy=!1,this.close()})}}#e;render(){let{key:e,resume:s}=this,n=this.error?.errors.filter(({field:o})=>o==="reason")??[],i=this.error!==null&&n.length===0;return this.frame(s?C.resumeTitle(e.name):C.title(e.name),a`<form id="suspend-form" novalidate @submit=${this.#n}>
${i?a`<rally-error-box .error=${this.error} retry @retry=${this.#n}></rally-error-box>`:d}
<p>${s?C.resumeLead:C.lead}</p>
${s?d:this.#t()}
<div class="field">
<label for="${this.#e}-reason">${C.reason} <span class="optional">${l.common.optional}</span></label>
<input
id="${this.#e}-reason"
?data-focus=${s}
type="text"
maxlength="200"
autocomplete="off"
aria-describedby="${this.#e}-reason-hint ${this.#e}-reason-error"
aria-invalid=${n.length>0?"true":"false"}
.value=${this.reason}
@input=${o=>this.reason=o.target.value}
/>
<p class="hint-text" id="${this.#e}-reason-hint">${C.reasonHint}</p>
<div id="${this.#e}-reason-error">
${n.map(({message:o})=>a`<p class="field-error">${y("warning")}<span>${o}</span></p>`)}
</div>
</div>
${s||this.callers===null?d:Ce(this.callers)}
</form>`,a`<button type="button" class="button" ?disabled=${this.busy} @click=${()=>this.close()}>${l.common.cancel}</button>
<button type="submit" form="suspend-form" class="button primary" ?disabled=${this.busy}>
${s?this.busy?C.resumeBusy:C.resumeSubmit:this.busy?C.busy:C.submit}
</button>`)}#t(){return a`<fieldset class="field">
<legend>${C.until}</legend>
<div class="segments">
${mn.map(([e,s],n)=>a`<label class="segment">
<input type="radio" ?data-focus=${n===0} name="${this.#e}-until" .checked=${this.until===e} @change=${()=>this.until=e} />
<span>${s}</span>
</label>`)}
</div>
${this.until==="custom"?a`<div class="inline-field">
<label for="${this.#e}-custom">${C.customAt}</label>
<input
id="${this.#e}-custom"
type="datetime-local"
min=${J(new Date)}
aria-invalid=${this.customError?"true":"false"}
aria-describedby="${this.#e}-custom-error"
.value=${this.customAt}
@input=${e=>this.customAt=e.target.value}
/>
</div>`:d}
<div id="${this.#e}-custom-error">
${this.customError?a`<p class="field-error">${y("warning")}<span>${l.form.customRequired}</span></p>`:d}
</div>
</fieldset>`}#n;#s(){return this.until==="resumed"||this.resume?null:this.until==="custom"?new Date(this.customAt):new Date(Date.now()+hn[this.until]*1e3)}};u([h({attribute:!1})],te.prototype,"key",2),u([h({attribute:!1})],te.prototype,"callers",2),u([h({type:Boolean})],te.prototype,"resume",2),u([m()],te.prototype,"until",2),u([m()],te.prototype,"customAt",2),u([m()],te.prototype,"reason",2),u([m()],te.prototype,"customError",2);k("rally-suspend-dialog",te);var yn=1e4,fn=5e3,nr=20,ir={day:{ms:x,interval:"hour",label:l.usage.day},week:{ms:7*x,interval:"hour",label:l.usage.week},month:{ms:30*x,interval:"day",label:l.usage.month},quarter:{ms:90*x,interval:"day",label:l.usage.quarter}},$n=({ms:t,interval:r})=>new Date(Date.now()-t+(r==="hour"?36e5:x)),V=class extends E{constructor(){super();this.keyId="";this.mayChange=!1;this.granted="read";this.listUrl="";this.range="month";this.dialog=null;this.notice="";this.key=new N(this);this.usage=new N(this);this.quotaUsed=new N(this);this.callers=new N(this);this.events=new N(this);this.#e=R();this.#l=()=>{clearTimeout(this.#t);let e=this.key.value?.value;document.hidden||!this.isConnected||e===void 0||e.status==="revoked"||(this.#t=setTimeout(()=>{this.#c()},e.rotation===null?yn:fn))};this.#m=async()=>{await this.updateComplete,this.dialog="suspend"};this.#d=async()=>{this.dialog=null,await this.updateComplete;let e=this.getRootNode();(e.activeElement===null||e.activeElement===document.body)&&this.find(".title")?.focus()};this.#u=async()=>{await this.reload(),this.notice=l.key.changedMeanwhile};new Se(this)}#e;#t;connectedCallback(){super.connectedCallback(),document.addEventListener("visibilitychange",this.#l)}disconnectedCallback(){super.disconnectedCallback(),document.removeEventListener("visibilitychange",this.#l),clearTimeout(this.#t)}willUpdate(e){if(e.has("keyId")||e.has("api")){for(let s of[this.key,this.usage,this.quotaUsed,this.callers,this.events])s.reset();this.dialog=null,this.#n()}}async#n(){await this.reload(),await this.updateComplete,this.dialog===null&&this.find(".title")?.focus({preventScroll:!0})}async reload(){await Promise.all([this.#s(),this.#r(),this.#i(),this.#a()]),this.#l()}async#s(){if(!await this.key.run(()=>this.api.key(this.keyId)))return;let e=this.key.value?.value.quota??null;if(e===null)return;let s=new Date,n=new Date(Date.UTC(s.getUTCFullYear(),s.getUTCMonth(),e.per==="day"?s.getUTCDate():1));await this.quotaUsed.run(async()=>{let{requests:i,denied:o}=await this.api.usage(this.keyId,n,"day");return i-o})}async#r(){let e=ir[this.range];e!==void 0&&await this.usage.run(()=>this.api.usage(this.keyId,$n(e),e.interval))}async#i(){await this.callers.run(()=>this.api.callers(this.keyId))}async#a(){await this.events.run(()=>this.api.keyEvents(this.keyId,{limit:nr}))}async#o(){let e=this.events.value;if(e?.next==null)return;let s=e.next;await this.events.run(async()=>{let n=await this.api.keyEvents(this.keyId,{limit:nr,cursor:s});return{...n,items:[...e.items,...n.items]}})}#l;async#c(){let e=this.key.value?.etag;try{let s=await this.api.key(this.keyId);s.etag!==e&&this.dialog===null&&(this.key.value=s,this.requestUpdate(),await Promise.all([this.#r(),this.#i(),this.#a()]))}catch{}this.#l()}render(){let{value:e,error:s,slow:n}=this.key;return a`
<p class="crumb">${this.#y()}</p>
${s===null?d:a`<rally-error-box .error=${s} retry auto @retry=${()=>this.reload()}></rally-error-box>`}
${e===void 0?s===null?this.#h():d:this.#f(e.value)}
${n?a`<p class="slow" role="status">${l.common.slow}</p>`:d}
<p class="visually-hidden" role="status">${this.notice}</p>
`}#y(){let e=n=>{n.ctrlKey||n.metaKey||n.shiftKey||(n.preventDefault(),this.emit("open-list"))},s=a`${y("back")} ${l.key.back}`;return this.listUrl===""?a`<button type="button" class="link" @click=${e}>${s}</button>`:a`<a class="link" href=${this.listUrl} @click=${e}>${s}</a>`}#h(){return a`<div class="skeleton" role="status" aria-label=${l.common.loading}>
${[0,1,2].map(()=>a`<div class="skeleton-row"><span></span><span></span></div>`)}
</div>`}#f(e){return a`
<header class="view-head">
<div>
<h1 class="title" tabindex="-1">${e.name} ${ut(e)}</h1>
${e.description===null?d:a`<p class="muted long">${e.description}</p>`}
</div>
${this.#$(e)}
</header>
${this.#g(e)}
${e.rotation===null?d:a`<rally-rotation-panel
.api=${this.api}
.key=${e}
.callers=${this.callers.value??null}
.secrets=${this.usage.value?.secrets??[]}
?mayEnd=${this.mayChange}
@key-changed=${()=>this.reload()}
></rally-rotation-panel>`}
<div class="columns">
<div class="column">${this.#b()} ${this.#p()} ${this.#v()}</div>
<div class="column side">${this.#w(e)}</div>
</div>
${this.#x(e)}
`}#$(e){if(!this.mayChange||e.status==="revoked")return d;let s=l.key;return a`<div class="actions" role="group" aria-label=${s.actions} part="actions">
<button type="button" class="button" data-action="edit" @click=${()=>this.dialog="edit"}>${y("edit")} ${s.edit}</button>
${e.status==="expired"?d:a`<button type="button" class="button" data-action="rotate" @click=${()=>this.dialog="rotate"}>${y("rotate")} ${s.rotate}</button>
${e.status==="suspended"?a`<button type="button" class="button" data-action="resume" @click=${()=>this.dialog="resume"}>${y("play")} ${s.resume}</button>`:a`<button type="button" class="button" data-action="suspend" @click=${()=>this.dialog="suspend"}>${y("pause")} ${s.suspend}</button>`}`}
<button type="button" class="button danger-quiet" data-action="revoke" @click=${()=>this.dialog="revoke"}>${y("trash")} ${s.revoke}</button>
</div>`}#g(e){let s=l.key,n={active:null,suspended:e.suspendedUntil===null?s.suspendedBanner:s.suspendedBannerUntil(D(e.suspendedUntil)),expired:s.expiredBanner,revoked:s.revokedBanner}[e.status];return n===null?d:a`<p class="note ${e.status==="suspended"?"warn":""}">${y("info")}<span>${n}</span></p>`}#b(){let{value:e,error:s}=this.usage;return a`<section class="card" aria-labelledby="${this.#e}-usage">
<div class="card-head">
<h2 id="${this.#e}-usage" class="section-title">${l.usage.chart}</h2>
${gn(this.range,n=>{this.range=n,this.#r()})}
</div>
${s===null?d:a`<rally-error-box .error=${s} retry auto @retry=${()=>this.#r()}></rally-error-box>`}
${e===void 0?d:a`<rally-usage-chart .buckets=${e.buckets} interval=${e.interval}></rally-usage-chart>`}
</section>`}#p(){let e=l.key,{value:s,error:n}=this.callers;return a`<section class="card" aria-labelledby="${this.#e}-callers">
<h2 id="${this.#e}-callers" class="section-title">${e.callers}</h2>
${n===null?d:a`<rally-error-box .error=${n} retry auto @retry=${()=>this.#i()}></rally-error-box>`}
${s===void 0?d:s.length===0?a`<p class="muted">${e.callersNone}</p>`:a`<div class="scroll" tabindex="0" role="region" aria-label=${e.callers}>
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
${s.map(i=>a`<tr>
<td>${Qe(i)}</td>
<td>${Ge(i)}</td>
<td>${i.secret==="current"?e.callerSecretCurrent:a`<span class="mark">${e.callerSecretPrevious}</span>`}</td>
<td class="number">${w(i.requests)}</td>
<td>${I(i.lastSeenAt)}</td>
</tr>`)}
</tbody>
</table>
</div>
<p class="hint-text">${e.callersHint}</p>`}
</section>`}#v(){let{value:e,error:s,busy:n}=this.events;return a`<section class="card" aria-labelledby="${this.#e}-events">
<h2 id="${this.#e}-events" class="section-title">${l.key.events}</h2>
${s===null?d:a`<rally-error-box .error=${s} retry auto @retry=${()=>this.#a()}></rally-error-box>`}
${e===void 0?d:a`<ol class="timeline">
${e.items.map(i=>a`<li>
${rr(i)}
<div>
<p>${tr(i,null,()=>{})}</p>
<p class="muted small long">${sr(i).join(" · ")}</p>
<p class="muted small">${I(i.occurredAt)}${i.address===null?d:` ${l.events.from(i.address)}`}</p>
</div>
</li>`)}
</ol>
${e.next===null?d:a`<button type="button" class="button" ?disabled=${n} @click=${()=>this.#o()}>${l.events.older}</button>`}`}
</section>`}#w(e){let s=l.key,n=q(e.scopes),i=(o,c)=>a`<div><dt>${o}</dt><dd>${c}</dd></div>`;return a`<section class="card" aria-labelledby="${this.#e}-about">
<h2 id="${this.#e}-about" class="section-title">${s.about}</h2>
<dl class="facts">
${i(s.scopes,a`${l.scopes[n]}<span class="fact-hint">${l.scopes[`${n}Hint`]}</span>`)}
${i(s.expires,e.expiresAt===null?l.time.never:a`${Te(e.expiresAt)}<span class="fact-hint">${I(e.expiresAt)}</span>`)}
${i(s.lastUsed,I(e.lastUsedAt,l.time.never))}
${i(s.addresses,e.allowedAddresses.length===0?s.addressesAny:a`<ul class="address-list">${e.allowedAddresses.map(o=>a`<li><code>${o}</code></li>`)}</ul>`)}
${i(s.rateLimit,Re(e.rateLimit))}
${i(s.quota,this.#k(e))}
${i(s.created,a`${Te(e.createdAt)}${e.createdBy===null?d:a`<span class="fact-hint long">${l.list.by(re(e.createdBy))}</span>`}`)}
${e.revokedAt===null?d:i(s.revoked,Te(e.revokedAt))}
${i(s.hint,a`<code>${e.keyHint}</code>`)}
${i(s.id,a`<span class="id-line"><code class="id">${e.id}</code><rally-copy-button compact .text=${e.id} label="${l.common.copy}: ${s.id}"></rally-copy-button></span>`)}
</dl>
</section>`}#k(e){let{quota:s}=e,n=this.quotaUsed.value;if(s===null||n===void 0)return ve(s);let i=l.key.quotaUsed(w(n),w(s.requests));return a`${ve(s)}<progress class="meter" max=${s.requests} value=${Math.min(n,s.requests)} aria-label=${i}></progress><span class="fact-hint">${i}</span>`}#x(e){let s=this.key.value,n=this.callers.value??null;if(this.dialog===null||s===void 0)return d;switch(this.dialog){case"edit":return a`<rally-edit-dialog .api=${this.api} .opened=${s} granted=${this.granted} @closed=${this.#d} @key-changed=${this.#u}></rally-edit-dialog>`;case"rotate":return a`<rally-rotate-dialog .api=${this.api} .opened=${s} .callers=${n} @closed=${this.#d} @key-rotated=${this.#u} @key-changed=${this.#u}></rally-rotate-dialog>`;case"suspend":case"resume":return a`<rally-suspend-dialog .api=${this.api} .key=${e} .callers=${n} ?resume=${this.dialog==="resume"} @closed=${this.#d} @key-changed=${this.#u}></rally-suspend-dialog>`;case"revoke":return a`<rally-revoke-dialog
.api=${this.api}
.key=${e}
@closed=${this.#d}
@key-revoked=${this.#u}
@suspend-instead=${this.#m}
></rally-revoke-dialog>`}}#m;#d;#u};u([h({attribute:!1})],V.prototype,"api",2),u([h()],V.prototype,"keyId",2),u([h({type:Boolean})],V.prototype,"mayChange",2),u([h()],V.prototype,"granted",2),u([h()],V.prototype,"listUrl",2),u([m()],V.prototype,"range",2),u([m()],V.prototype,"dialog",2),u([m()],V.prototype,"notice",2);k("rally-key-view",V);function gn(t,r){return a`<div class="segments small" role="group" aria-label=${l.usage.range}>
${Object.entries(ir).map(([e,{label:s}])=>a`<button type="button" class="segment" aria-pressed=${t===e?"true":"false"} @click=${()=>r(e)}><span>${s}</span></button>`)}
</div>`}var or=St;var bn=5e3,B=class extends Q{constructor(){super(...arguments);this.baseUrl="";this.keyId="";this.keyUrl="";this.listUrl="";this.pageSize=50;this.theme="";this.readOnly=!1;this.creating=!1;this.me=new N(this);this.#i=!1}static{this.styles=or}#e;willUpdate(e){(!this.hasUpdated||e.has("baseUrl")||e.has("getToken")&&this.me.error!==null)&&(this.#e=new je(this.#t(),()=>this.#r()),this.me.run(()=>this.api.me()))}#t(){return this.baseUrl===""?location.origin:new URL(this.baseUrl,location.href).origin}get api(){return this.#e??=new je(this.#t(),()=>this.#r()),this.#e}get#n(){return this.renderRoot.querySelector("rally-key-list")}get#s(){return this.renderRoot.querySelector("rally-key-view")}async#r(){let e=Date.now()+bn;do{if(this.getToken!==void 0)return this.getToken();let s,n={respondWith:i=>s=i};if(this.dispatchEvent(new CustomEvent("token-request",{detail:n,bubbles:!0,composed:!0})),s!==void 0)return s;await new Promise(i=>setTimeout(i,100))}while(Date.now()<e);throw console.warn(`<rally-api-keys>: ${l.shell.noToken}`),new Error(l.shell.noToken)}async reload(){await this.me.run(()=>this.api.me()),await Promise.all([this.#n?.reload(),this.#s?.reload()])}render(){let{value:e,error:s}=this.me,n=!this.readOnly&&e!==void 0&&q(e.scopes)==="admin",i=e?.scopes??"read",{api:o}=this;return a`<div
class="root"
part="root"
@create=${()=>this.creating=!0}
@open-key=${c=>this.#a(c.detail)}
@open-list=${()=>this.#a("")}
@key-created=${c=>this.#o("created",c)}
@key-rotated=${c=>this.#o("rotated",c)}
@key-revoked=${c=>this.#o("revoked",c)}
@key-changed=${()=>this.#i=!0}
>
${s===null||s.isSignInNeeded?d:a`<rally-error-box .error=${s} retry auto @retry=${()=>this.reload()}></rally-error-box>`}
<rally-key-list
?hidden=${this.keyId!==""}
.api=${o}
.me=${e??null}
.pageSize=${Math.min(100,Math.max(1,this.pageSize||50))}
keyUrl=${this.keyUrl}
?mayCreate=${!this.readOnly&&e?.canCreate===!0}
></rally-key-list>
${this.keyId===""?d:a`<rally-key-view .api=${o} keyId=${this.keyId} granted=${i} listUrl=${this.listUrl} ?mayChange=${n}></rally-key-view>`}
${this.creating?a`<rally-create-dialog .api=${o} granted=${i} creator=${vn(e)} @closed=${()=>this.creating=!1}></rally-create-dialog>`:d}
</div>`}#i;#a(e){let s=this.keyId;e!==s&&(this.keyId=e,this.dispatchEvent(new CustomEvent("navigated",{detail:{id:e===""?null:e},bubbles:!0,composed:!0})))}updated(e){let s=e.get("keyId");if(this.keyId!==""||typeof s!="string"||s==="")return;let n=this.#n;this.#i&&n?.reload(),this.#i=!1,n?.focusKey(s)}#o(e,s){s.stopPropagation(),this.#i=!0,this.keyId===""&&this.#n?.reload();let n={id:s.detail};this.dispatchEvent(new CustomEvent(e,{detail:n,bubbles:!0,composed:!0}))}};u([h({attribute:"base-url"})],B.prototype,"baseUrl",2),u([h({attribute:"key-id"})],B.prototype,"keyId",2),u([h({attribute:"key-url"})],B.prototype,"keyUrl",2),u([h({attribute:"list-url"})],B.prototype,"listUrl",2),u([h({attribute:"page-size",type:Number})],B.prototype,"pageSize",2),u([h({reflect:!0})],B.prototype,"theme",2),u([h({attribute:"read-only",type:Boolean})],B.prototype,"readOnly",2),u([h({attribute:!1})],B.prototype,"getToken",2),u([m()],B.prototype,"creating",2);var vn=t=>t===void 0?"":t.principal.kind==="user"?t.principal.name:`api-key:${t.principal.id}`;k("rally-api-keys",B);export{u as a,St as b,a as c,d,Q as e,h as f,m as g,l as h,je as i,y as j,E as k,N as l,G as m,Se as n,R as o,k as p,P as q,w as r,I as s,Te as t,q as u,Kt as v,ce as w,ht as x,re as y,Ws as z,tr as A,ca as B,sr as C,rr as D,ir as E,$n as F,gn as G,or as H,B as I};
