import{A as se,B as ie,C as ne,D as ae,E as re,F as oe,G as le,H as de,I as ce,a as W,b as n,c as d,d as J,e as v,f as h,g as u,h as G,i as b,j as $,k as L,l as P,m as k,n as y,o as m,p as C,q as x,r as Q,s as O,t as Y,u as A,v as X,w as Z,x as V,y as ee,z as te}from"./chunk-6RFSHDOM.js";import{a as c}from"./chunk-JFKSI6I7.js";var R=class{#e;#t=new Set;constructor(r){this.#e=r,this.state=r===null?"signed-out":"signed-in"}async getToken(){if(this.#e!==null&&ke(this.#e)<=Date.now()&&this.#s(null,"expired"),this.#e===null)throw new Error("There is no token.");return this.#e}useToken(r){this.#s(r.trim(),"signed-in")}async signIn(){this.#s(null,"expired")}async signOut(){this.#s(null,"signed-out")}onChange(r){return this.#t.add(r),()=>this.#t.delete(r)}#s(r,e){this.#e=r,this.state=e;for(let t of this.#t)t()}};function ke(s){try{let r=s.split(".")[1]??"",{exp:e}=JSON.parse(atob(r.replace(/-/g,"+").replace(/_/g,"/")));return typeof e=="number"?e*1e3:1/0}catch{return 1/0}}var H=s=>"useToken"in s;async function pe(s){let r=xe();if(r!==null||!s.issuer||!s.clientId)return new R(r);let{OidcSignIn:e}=await import("./chunk-AQAMYFPF.js"),t=new e({...s,issuer:s.issuer,clientId:s.clientId});return await t.start(),t}function xe(){let s=new URLSearchParams(location.hash.slice(1)),r=s.get("token");if(r===null)return null;s.delete("token");let e=s.toString();return history.replaceState(history.state,"",`${location.pathname}${location.search}${e===""?"":`#${e}`}`),r.trim()===""?null:r.trim()}var ue=["occurredAt","type","keyId","actor","address","requestId","id"];function he(s,r){if(r==="ndjson")return s.map(t=>`${JSON.stringify(t)}
`).join("");let e=s.map(t=>[...ue.map(i=>t[i]??""),JSON.stringify(t.details)]);return[[...ue,"details"],...e].map(t=>`${t.map(we).join(",")}\r
`).join("")}function we(s){let r=/^[=+\-@\t\r]/.test(s)?`'${s}`:s;return/[",\r\n]/.test(r)?`"${r.replaceAll('"','""')}"`:r}function me(s,r,e){let t=document.createElement("a");t.href=URL.createObjectURL(new Blob([s],{type:e})),t.download=r,t.click(),setTimeout(()=>URL.revokeObjectURL(t.href),1e4)}var q={type:"",keyId:"",actor:"",since:"",until:""},Ie=100,Ee=25,Se=2e3,Te=1e3,Le=300,w=class extends b{constructor(){super();this.keyId="";this.filters=q;this.exported=null;this.exportError=null;this.found=new $(this);this.#e=new Map;this.#t=k();new P(this)}#e;#t;#s;willUpdate(e){e.has("keyId")&&(this.filters={...q,keyId:this.keyId}),(e.has("api")||e.has("keyId"))&&this.reload()}async reload(){await this.found.run(()=>this.#o({events:[],next:null,scanned:0}))}async#n(){let e=this.found.value;e!==void 0&&await this.found.run(()=>this.#o(e))}#i(e){this.filters={...this.filters,...e},this.exported=null,clearTimeout(this.#s),this.#s=setTimeout(()=>{this.reload()},"actor"in e?Le:0)}async#o(e){let{filters:t}=this,i=[...e.events],{next:a,scanned:l}=e,f=i.length+Ee,I=l+Se;do{let U=await this.api.events(ve(t,a,Ie));l+=U.items.length,a=U.next,i.push(...U.items.filter(be=>fe(be,t)))}while(a!==null&&i.length<f&&l<I);return await this.#a(i),{events:i,next:a,scanned:l}}async#a(e){let t=new Set;for(let a of e){if(a.keyId===null||this.#e.has(a.keyId))continue;let l=ne(a);l===null?t.add(a.keyId):this.#e.set(a.keyId,l)}let i=[...t].filter(a=>!this.#e.has(a)).slice(0,50);await Promise.all(i.map(async a=>{try{this.#e.set(a,(await this.api.key(a)).value.name)}catch{this.#e.set(a,a)}}))}render(){let e=u.audit,{value:t,error:i,busy:a,slow:l}=this.found,f=this.exported!==null&&!this.exported.done;return n`
<div class="view-head">
<div>
<h1 class="title" tabindex="-1">${e.title}</h1>
<p class="muted">${e.intro}</p>
</div>
<div class="actions">
<button type="button" class="button" data-export="ndjson" ?disabled=${f} @click=${()=>this.#d("ndjson")}>${m("download")} ${e.exportNdjson}</button>
<button type="button" class="button" data-export="csv" ?disabled=${f} @click=${()=>this.#d("csv")}>${m("download")} ${e.exportCsv}</button>
</div>
</div>
${this.#r()}
<p class="small muted" role="status">
${this.exported===null?"":this.exported.done?e.exported(this.exported.count):e.exporting(this.exported.count)}
</p>
${[i,this.exportError].map(I=>x(I,()=>this.reload()))}
${t===void 0?d:t.events.length===0?n`<section class="empty small"><h2>${e.none}</h2><p class="muted">${e.scanned(t.scanned)}</p></section>`:n`<ol class="event-list" aria-label=${e.title} aria-busy=${a?"true":"false"}>${t.events.map(I=>this.#l(I))}</ol>`}
${t?.next==null?d:n`<p class="form-foot"><button type="button" class="button" ?disabled=${a} @click=${()=>this.#n()}>${u.events.older}</button>
<span class="muted small">${e.scanned(t.scanned)}</span></p>`}
${l?n`<p class="slow" role="status">${u.common.slow}</p>`:d}
`}#r(){let e=u.audit,{filters:t}=this,i=JSON.stringify(t)!==JSON.stringify(q);return n`<div class="tools">
<div class="select">
<label for="${this.#t}-type">${e.type}</label>
<select id="${this.#t}-type" @change=${a=>this.#i({type:N(a)})}>
<option value="">${e.typeAny}</option>
${Object.entries(u.events.types).map(([a,l])=>n`<option value=${a} ?selected=${t.type===a}>${l}</option>`)}
</select>
</div>
<div class="select">
<label for="${this.#t}-actor">${e.actor}</label>
<input id="${this.#t}-actor" type="search" autocomplete="off" placeholder=${e.actorPlaceholder} .value=${t.actor} @input=${a=>this.#i({actor:N(a).trim()})} />
</div>
<div class="select">
<label for="${this.#t}-since">${e.since}</label>
<input id="${this.#t}-since" type="date" .value=${t.since} @change=${a=>this.#i({since:N(a)})} />
</div>
<div class="select">
<label for="${this.#t}-until">${e.until}</label>
<input id="${this.#t}-until" type="date" .value=${t.until} @change=${a=>this.#i({until:N(a)})} />
</div>
${i?n`<button type="button" class="button" @click=${()=>this.#i(q)}>${e.clear}</button>`:d}
${t.keyId===""?d:n`<p class="small muted">${e.onlyKey(this.#e.get(t.keyId)??t.keyId)}</p>`}
</div>`}#l(e){let{keyId:t}=e,i=t===null?"":this.#e.get(t)??t,a=ie(e,i,l=>this.#e.get(l));return n`<li>
${re(e)}
<div>
<p class="long">${t===null?a:n`<a class="link" href="#/keys/${t}">${a}</a>`}</p>
<p class="muted small long">${ae(e).join(" · ")}</p>
</div>
<div class="event-when">
<p>${Y(e.occurredAt)}</p>
${e.address===null?d:n`<p><code>${e.address}</code></p>`}
${t===null||this.filters.keyId!==""?d:n`<button type="button" class="link" @click=${()=>this.#i({keyId:t})}>${u.audit.onlyThisKey}<span class="visually-hidden">: ${i}</span></button>`}
</div>
</li>`}async#d(e){let{filters:t}=this,i=[];this.exported={count:0,done:!1},this.exportError=null;try{let l=null;do{let f=await this.api.events(ve(t,l,Te));i.push(...f.items.filter(I=>fe(I,t))),l=f.next,this.exported={count:i.length,done:!1}}while(l!==null)}catch(l){this.exported=null,this.exportError=L(l);return}let a=e==="csv"?"text/csv;charset=utf-8":"application/x-ndjson";me(he(i,e),`api-key-events-${new Date().toISOString().slice(0,10)}.${e}`,a),this.exported={count:i.length,done:!0}}};c([v({attribute:!1})],w.prototype,"api",2),c([v()],w.prototype,"keyId",2),c([h()],w.prototype,"filters",2),c([h()],w.prototype,"exported",2),c([h()],w.prototype,"exportError",2);y("rally-audit-view",w);var N=s=>s.target.value;function ve({type:s,keyId:r,since:e,until:t},i,a){let l={limit:a};return s!==""&&(l.type=s),r!==""&&(l.keyId=r),e!==""&&(l.since=ye(e)),t!==""&&(l.until=ye(t,1)),i!==null&&(l.cursor=i),l}var fe=(s,{actor:r})=>r===""||te(s.actor).toLowerCase().includes(r.toLowerCase());function ye(s,r=0){let[e=0,t=1,i=1]=s.split("-").map(Number);return new Date(e,t-1,i+r).toISOString()}var o=u.policy,Pe=500,Ce={lifetime:3650,keys:1e6,idle:3650,rateRequests:1e6},Oe={maxLifetimeDays:"lifetime",maxActiveKeys:"keys",idleSuspendDays:"idle",defaultRateLimit:"rateRequests"},g=class extends b{constructor(){super(...arguments);this.mayChange=!1;this.draft=null;this.errors={};this.error=null;this.saving=!1;this.saved=!1;this.confirms=null;this.policy=new $(this);this.trial=new $(this);this.#e=k();this.#u=async e=>{if(e.preventDefault(),this.draft===null||this.saving)return;clearTimeout(this.#t),this.trial.value===void 0&&await this.#i();let{value:t}=this.trial;t!==void 0&&t.violationCount>0?this.confirms=t:await this.#c()}}#e;#t;willUpdate(e){e.has("api")&&this.reload()}async reload(){await this.policy.run(()=>this.api.policy())&&(this.trial.reset(),this.draft??=_(this.policy.value))}get#s(){let{value:e}=this.policy;return e!==void 0&&this.draft!==null&&JSON.stringify(D(this.draft))!==JSON.stringify(D(_(e)))}#n(e){this.draft!==null&&(this.draft={...this.draft,...e},this.saved=!1,this.error=null,this.errors=Re(this.draft),clearTimeout(this.#t),this.trial.reset(),this.#s&&Object.keys(this.errors).length===0&&(this.#t=setTimeout(()=>{this.#i()},Pe)))}async#i(){let{draft:e}=this;e!==null&&await this.trial.run(()=>this.api.setPolicy(D(e),!0))}render(){let{value:e,error:t,slow:i}=this.policy;return n`
<div class="view-head">
<div>
<h1 class="title" tabindex="-1">${o.title}</h1>
<p class="muted">${o.intro}</p>
</div>
</div>
${x(t,()=>this.reload())}
${e===void 0||this.draft===null?d:n`${this.#o(this.draft)} ${this.#p(e)}`}
${i?n`<p class="slow" role="status">${u.common.slow}</p>`:d}
${this.confirms===null?d:n`<rally-policy-dialog .trial=${this.confirms} @closed=${()=>this.confirms=null} @confirmed=${()=>this.#c()}></rally-policy-dialog>`}
`}#o(e){let t=!this.mayChange||this.saving;return n`<form class="card" novalidate aria-label=${o.title} @submit=${this.#u}>
${this.mayChange?d:n`<p class="note">${m("info")}<span>${o.readOnly}</span></p>`}
<div class="rules">
${this.#a("lifetime",o.lifetime,o.lifetimeHint,o.days,e,t)}
${this.#a("keys",o.keys,o.keysHint,o.unitKeys,e,t)}
${this.#a("idle",o.idle,o.idleHint,o.days,e,t)}
<div class="field">
<label for="${this.#e}-scopes">${o.scopes}</label>
<select id="${this.#e}-scopes" ?disabled=${t} @change=${i=>this.#n({scopes:j(i)})}>
<option value="">${o.scopesAny}</option>
${Z.map(i=>n`<option value=${i} ?selected=${e.scopes===i}>${u.scopes[i]}</option>`)}
</select>
</div>
<div class="field">
<label for="${this.#e}-rateRequests">${o.rate}</label>
<div class="pair">
${this.#r("rateRequests",e,t)}
<label for="${this.#e}-window">${o.requests} ${u.form.rateWindow}</label>
<select id="${this.#e}-window" ?disabled=${t} @change=${i=>this.#n({rateWindow:Number(j(i))})}>
${[...new Set([...V,e.rateWindow])].map(i=>n`<option value=${i} ?selected=${e.rateWindow===i}>${ee(i)}</option>`)}
</select>
</div>
${this.#l("rateRequests",o.rateHint)}
</div>
<div class="field">
<label for="${this.#e}-leak">${o.leak}</label>
<select id="${this.#e}-leak" ?disabled=${t} @change=${i=>this.#n({leak:j(i)})}>
${[["revoke",o.leakRevoke],["suspend",o.leakSuspend],["notify",o.leakNotify]].map(([i,a])=>n`<option value=${i} ?selected=${e.leak===i}>${a}</option>`)}
</select>
</div>
<div class="field">
<label class="check">
<input type="checkbox" .checked=${e.addresses} ?disabled=${t} @change=${i=>this.#n({addresses:i.target.checked})} />
<span>${o.addresses}</span>
</label>
</div>
</div>
${x(this.error,()=>this.#c(),!1)}
${this.mayChange?this.#d():d}
</form>`}#a(e,t,i,a,l,f){return n`<div class="field">
<label for="${this.#e}-${e}">${t}</label>
<div class="pair">${this.#r(e,l,f)} <span class="muted">${a}</span></div>
${this.#l(e,i)}
</div>`}#r(e,t,i){return n`<input
id="${this.#e}-${e}"
class="number"
type="text"
inputmode="numeric"
autocomplete="off"
?disabled=${i}
aria-describedby="${this.#e}-${e}-hint"
aria-invalid=${this.errors[e]===void 0?"false":"true"}
.value=${t[e]}
@input=${a=>this.#n({[e]:j(a).trim()})}
/>`}#l(e,t){let i=this.errors[e];return n`<div id="${this.#e}-${e}-hint">
<p class="hint-text">${t}</p>
${i===void 0?d:n`<p class="field-error">${m("warning")}<span>${i}</span></p>`}
</div>`}#d(){let{value:e,busy:t,error:i}=this.trial,a=Object.keys(this.errors).length>0,l=this.saved?n`<span class="verdict good">${m("check")} ${o.saved}</span>`:i!==null?x(i,()=>this.#i()):t?n`<span class="muted">${o.checking}</span>`:e===void 0?d:e.violationCount>0?n`<span class="verdict warn" data-breaks=${e.violationCount}>${m("warning")} ${o.wouldBreak(e.violationCount)}</span>`:n`<span class="verdict good" data-breaks="0">${m("check")} ${o.wouldBreakNone}</span>`;return n`<div class="form-foot">
<button type="submit" class="button primary" ?disabled=${!this.#s||this.saving||a}>
${this.saving?o.saving:this.#s||this.saved?o.save:o.unchanged}
</button>
<div role="status">${l}</div>
</div>
${e===void 0||e.violations.length===0?d:B(e)}`}#p(e){return n`<section class="card" aria-labelledby="${this.#e}-violations">
<h2 class="section-title" id="${this.#e}-violations">
${e.violationCount===0?o.breaksNone:o.breaks(e.violationCount)}
</h2>
${e.violationCount===0?d:n`<p class="muted">${o.breaksHint}</p>${B(e)}`}
</section>`}#u;async#c(){if(this.draft!==null){this.saving=!0,this.error=null;try{let e=await this.api.setPolicy(D(this.draft),!1);this.policy.value=e,this.draft=_(e),this.trial.reset(),this.saved=!0}catch(e){let t=L(e),i=t.errors.flatMap(({field:a,message:l})=>{let f=Oe[a.split(".")[0]??""];return f===void 0?[]:[[f,l]]});i.length>0&&i.length===t.errors.length?this.errors=Object.fromEntries(i):this.error=t}finally{this.saving=!1}}}};c([v({attribute:!1})],g.prototype,"api",2),c([v({type:Boolean})],g.prototype,"mayChange",2),c([h()],g.prototype,"draft",2),c([h()],g.prototype,"errors",2),c([h()],g.prototype,"error",2),c([h()],g.prototype,"saving",2),c([h()],g.prototype,"saved",2),c([h()],g.prototype,"confirms",2);y("rally-policy-view",g);var M=class extends C{render(){return this.frame(o.confirmTitle,n`<p class="verdict warn">${m("warning")} ${o.wouldBreak(this.trial.violationCount)}</p>
<p>${o.confirmText}</p>
${B(this.trial)}`,n`<button type="button" class="button" data-focus @click=${()=>this.close()}>${u.common.cancel}</button>
<button
type="button"
class="button primary"
@click=${()=>{this.close(),this.emit("confirmed")}}
>
${o.confirm}
</button>`,{wide:!0})}};c([v({attribute:!1})],M.prototype,"trial",2);y("rally-policy-dialog",M);function B(s){return n`<div class="scroll" tabindex="0" role="group" aria-label=${o.wouldBreak(s.violationCount)}>
<table class="plain">
<thead>
<tr><th scope="col">${u.list.columnName}</th><th scope="col">${o.columnRules}</th><th scope="col">${u.list.columnLastUsed}</th></tr>
</thead>
<tbody>
${s.violations.map(r=>Ae(r))}
</tbody>
</table>
</div>
${s.violationCount>s.violations.length?n`<p class="hint-text">${o.first(s.violations.length)}</p>`:d}`}function Ae(s){let r=[s.lastAddress,s.lastUserAgent].filter(Boolean).join(" · ");return n`<tr>
<td><a class="key-name link" href="#/keys/${s.keyId}">${s.name}</a> <code class="hint">${s.keyHint}</code></td>
<td>${s.rules.map(({rule:e})=>n`<span class="mark">${o.rules[e]??e}</span> `)}</td>
<td>${O(s.lastUsedAt,n`<span class="muted">${u.time.never}</span>`)}${r===""?d:n`<span class="fact-hint long">${r}</span>`}</td>
</tr>`}var j=s=>s.target.value,_=s=>({lifetime:F(s.maxLifetimeDays),keys:F(s.maxActiveKeys),idle:F(s.idleSuspendDays),scopes:s.allowedScopes==null?"":A(s.allowedScopes),addresses:s.requireAllowedAddresses===!0,leak:s.onLeak,rateRequests:F(s.defaultRateLimit?.requests),rateWindow:s.defaultRateLimit?.windowSeconds??60}),F=s=>s==null?"":String(s),z=s=>s===""?null:Number(s),D=s=>({maxLifetimeDays:z(s.lifetime),maxActiveKeys:z(s.keys),idleSuspendDays:z(s.idle),allowedScopes:s.scopes===""?null:X[s.scopes],requireAllowedAddresses:s.addresses?!0:null,onLeak:s.leak,defaultRateLimit:s.rateRequests===""?null:{requests:Number(s.rateRequests),windowSeconds:s.rateWindow}});function Re(s){let e=Object.entries(Ce).filter(([t,i])=>s[t]!==""&&!(/^[1-9]\d*$/.test(s[t])&&Number(s[t])<=i));return Object.fromEntries(e.map(([t,i])=>[t,o.range(Q(i))]))}var qe=10,T=class extends b{constructor(){super();this.range="month";this.usage=new $(this);this.latest=new $(this);this.#e=k();new P(this)}#e;willUpdate(e){e.has("api")&&this.reload()}async reload(){let e=()=>this.api.list({sort:"-lastUsedAt",limit:qe,include:"usage",status:"active,suspended,expired"});await Promise.all([this.#t(),this.latest.run(e)])}async#t(){let e=oe[this.range];e!==void 0&&await this.usage.run(()=>this.api.tenantUsage(le(e),e.interval))}render(){let{value:e,error:t,slow:i}=this.usage,a=this.latest.value?.items.filter(l=>l.lastUsedAt!==null)??[];return n`
<div class="view-head">
<div>
<h1 class="title" tabindex="-1">${u.usage.tenantTitle}</h1>
<p class="muted">${u.usage.tenantIntro}</p>
</div>
${de(this.range,l=>{this.range=l,this.#t()})}
</div>
${x(t,()=>this.reload())}
${e===void 0?d:n`<section class="card" aria-label=${u.usage.chart}><rally-usage-chart .buckets=${e.buckets} interval=${e.interval}></rally-usage-chart></section>`}
${i?n`<p class="slow" role="status">${u.common.slow}</p>`:d}
${a.length===0?d:n`<section class="card" aria-labelledby="${this.#e}-latest">
<h2 class="section-title" id="${this.#e}-latest">${u.usage.latest}</h2>
<div class="scroll" tabindex="0" role="group" aria-labelledby="${this.#e}-latest">
<table class="plain">
<thead>
<tr><th scope="col">${u.list.columnName}</th><th scope="col">${u.list.columnUsage}</th><th scope="col">${u.list.columnLastUsed}</th></tr>
</thead>
<tbody>
${a.map(l=>n`<tr>
<td><a class="key-name link" href="#/keys/${l.id}">${l.name}</a></td>
<td>${se(l.usage??[])}</td>
<td>${O(l.lastUsedAt)}</td>
</tr>`)}
</tbody>
</table>
</div>
</section>`}
`}};c([v({attribute:!1})],T.prototype,"api",2),c([h()],T.prototype,"range",2);y("rally-usage-view",T);var ge=W`:host{min-block-size:100vh;background:var(--bg)}.skip{position:absolute;inset-inline-start:8px;inset-block-start:-60px;z-index:1;padding:8px 14px;border:0;border-radius:6px;background:var(--accent);color:var(--on-accent)}.skip:focus{inset-block-start:8px}.bar{border-block-end:1px solid var(--border);background:var(--surface)}.bar-in{display:flex;flex-wrap:wrap;align-items:center;gap:0 24px;max-inline-size:1200px;min-block-size:54px;margin-inline:auto;padding-inline:20px}.brand{min-inline-size:0;display:inline-flex;align-items:center;gap:8px;font-weight:650}.brand .icon{color:var(--accent)}.nav{display:flex;gap:4px;align-self:stretch;overflow-x:auto}.nav-link{display:inline-flex;align-items:center;padding-inline:10px;border-block:2px solid transparent;color:var(--muted);text-decoration:none;font-weight:550;white-space:nowrap}.nav-link:hover{color:var(--text)}.nav-link:focus-visible{outline-offset:-2px}.nav-link[aria-current]{color:var(--text);border-block-end-color:var(--accent)}.account{display:flex;align-items:center;gap:12px;margin-inline-start:auto;min-inline-size:0}.who{max-inline-size:220px;overflow:hidden;text-overflow:ellipsis;white-space:nowrap;color:var(--muted)}.page{max-inline-size:1200px;margin-inline:auto;padding:24px 20px 64px}.page:focus-visible{outline:none}.entry{max-inline-size:520px;margin:8vh auto 0;padding:24px}.entry .title{margin-block-end:10px}.entry p{margin-block-end:8px}.entry pre{white-space:pre-wrap;margin-block:4px 12px;font-size:13px}@media(max-width:720px){.bar-in{padding:8px 14px 0}.nav{order:1;inline-size:100%;min-block-size:40px;margin-inline:-10px}.nav-link{padding-inline:9px}.bar-in{gap:0 12px}.account{gap:8px}.who{max-inline-size:30vw;font-size:13px}.page{padding:16px 14px 48px}}`;var $e=["keys","usage","audit","policy"],p=u.shell,E=class extends J{constructor(){super(...arguments);this.section="keys";this.keyId="";this.signIn=null;this.signInError="";this.me=new $(this);this.#e=new G(location.origin,()=>this.#a());this.#t=!1;this.#s=!1;this.#a=async()=>{if(this.signIn===null)throw new Error(p.signInTitle);return this.signIn.getToken()};this.#r=()=>{let[,e="",t=""]=location.hash.split("/");this.section=$e.find(i=>i===e)??"keys",this.keyId=this.section==="keys"&&/^[0-9a-f-]{36}$/i.test(t)?t:"",document.title=`${p[this.section]} · ${p.product}`};this.#v=()=>{this.renderRoot.querySelector("#main")?.focus()}}static{this.styles=[ce,ge]}#e;#t;#s;connectedCallback(){super.connectedCallback(),this.#n(),addEventListener("hashchange",this.#r)}disconnectedCallback(){super.disconnectedCallback(),removeEventListener("hashchange",this.#r)}async#n(){try{this.signIn=await pe(Ne())}catch(e){this.signInError=e instanceof Error?e.message:String(e);return}this.signIn.onChange(()=>this.#i()),this.#r(),this.#i()}#i(){if(this.requestUpdate(),this.signIn?.state==="signed-out"&&(this.#t=!1),this.signIn?.state!=="signed-in")return;let e=this.#t;this.#t=!0,this.me.run(()=>this.#e.me()),e&&this.#o()}async#o(){await this.renderRoot.querySelector("rally-api-keys")?.reload(),await this.renderRoot.querySelector("[data-view]")?.reload()}#a;#r;updated(e){e.has("section")&&e.get("section")!==void 0&&this.section!=="keys"&&this.renderRoot.querySelector("[data-view] .title")?.focus()}render(){let{signIn:e}=this,t=e!==null&&this.#t&&e.state!=="signed-out";return n`
<header class="bar">
<button type="button" class="skip" @click=${this.#v}>${p.skip}</button>
<div class="bar-in">
<span class="brand">${m("key")} <span class="brand-tenant">${this.me.value?.tenant.name??p.product}</span></span>
${t?this.#l():d}
${t?this.#p():d}
</div>
</header>
<main id="main" class="page" tabindex="-1" @sign-in-required=${()=>this.signIn?.signIn()}>
${this.signInError===""?d:n`<p class="note warn">${m("warning")}<span>${this.signInError}</span></p>`}
${t?this.#u():e===null?d:this.#h(e)}
</main>
${t&&e.state==="expired"?n`<rally-session-dialog .signIn=${e}></rally-session-dialog>`:d}
`}#l(){return n`<nav class="nav" aria-label=${p.nav}>
${$e.map(e=>n`<a class="nav-link" href="#/${e}" aria-current=${this.section===e?"page":d} @click=${t=>this.#d(t,e)}>${p[e]}</a>`)}
</nav>`}#d(e,t){t==="keys"&&this.section==="keys"&&this.keyId===""&&e.preventDefault()}#p(){let e=this.me.value?.principal.name;return n`<div class="account">
${e===void 0?d:n`<span class="who" title=${p.signedInAs(e)}><span class="visually-hidden">${p.signedInAs("")}</span>${e}</span>`}
<button type="button" class="button" @click=${()=>this.signIn?.signOut()}>${p.signOut}</button>
</div>`}#u(){let e=A(this.me.value?.scopes??"read")==="admin";this.#s||=this.section==="keys";let t=this.me.value!==void 0&&!e;return n`
${t?n`<p class="note">${m("info")}<span>${p.reader}</span></p>`:d}
${this.#s?this.#c():d}
${this.section==="usage"?n`<rally-usage-view data-view .api=${this.#e}></rally-usage-view>`:d}
${this.section==="audit"?n`<rally-audit-view data-view .api=${this.#e}></rally-audit-view>`:d}
${this.section==="policy"?n`<rally-policy-view data-view .api=${this.#e} ?mayChange=${e}></rally-policy-view>`:d}
`}#c(){return n`<rally-api-keys
?hidden=${this.section!=="keys"}
.getToken=${this.#a}
key-id=${this.keyId}
key-url="#/keys/{id}"
list-url="#/keys"
@navigated=${e=>this.#m(e.detail.id)}
></rally-api-keys>`}#h(e){return H(e)?n`<section class="entry card"><h1 class="title">${p.pasteTitle}</h1><rally-paste-token .signIn=${e} explain></rally-paste-token></section>`:n`<section class="entry card">
<h1 class="title">${p.signInTitle}</h1>
<p class="muted">${p.signInText}</p>
<p class="form-foot"><button type="button" class="button primary" @click=${()=>e.signIn()}>${p.signIn}</button></p>
</section>`}#m(e){location.hash=e===null?"#/keys":`#/keys/${e}`}#v};c([h()],E.prototype,"section",2),c([h()],E.prototype,"keyId",2),c([h()],E.prototype,"signIn",2),c([h()],E.prototype,"signInError",2);var S=class extends b{constructor(){super(...arguments);this.explain=!1;this.message="";this.#e=k();this.#t=e=>{e.preventDefault();let t=this.find("input"),i=t?.value.trim()??"";if(this.message=i===""?p.pasteEmpty:/\s/.test(i)?p.pasteMalformed:"",this.message!==""){t?.focus();return}t&&(t.value=""),this.signIn.useToken(i)}}#e;firstUpdated(){this.find("input")?.focus()}render(){return n`<form novalidate @submit=${this.#t}>
${this.explain?n`<p>${p.pasteText}</p><p class="muted">${p.pasteHow}</p><pre class="note"><code>rally-api-keys token --tenant … --email … --scopes admin</code></pre>`:d}
<div class="field">
<label for=${this.#e}>${p.pasteLabel}</label>
<input id=${this.#e} type="password" autocomplete="off" spellcheck="false" aria-describedby="${this.#e}-hint" aria-invalid=${this.message?"true":"false"} />
<div id="${this.#e}-hint">
<p class="hint-text">${p.pasteHint}</p>
${this.message?n`<p class="field-error">${m("warning")}<span>${this.message}</span></p>`:d}
</div>
</div>
<button type="submit" class="button primary">${p.pasteSubmit}</button>
</form>`}#t};c([v({attribute:!1})],S.prototype,"signIn",2),c([v({type:Boolean})],S.prototype,"explain",2),c([h()],S.prototype,"message",2);y("rally-paste-token",S);var K=class extends C{mayClose(){return!1}render(){let{signIn:r}=this;return H(r)?this.frame(p.expiredTitle,n`<p>${p.expiredPaste}</p><rally-paste-token .signIn=${r}></rally-paste-token>`,d,{closable:!1}):this.frame(p.expiredTitle,n`<p>${p.expiredText}</p>`,n`<button type="button" class="button" @click=${()=>r.signOut()}>${p.signOut}</button>
<button type="button" class="button primary" data-focus @click=${()=>r.signIn()}>${p.signIn}</button>`,{closable:!1})}};c([v({attribute:!1})],K.prototype,"signIn",2);y("rally-session-dialog",K);function Ne(){let s=document.querySelector('meta[name="rally-console"]')?.content??"";try{return JSON.parse(s||"{}")}catch{return{}}}y("rally-console",E);export{E as RallyConsole};
