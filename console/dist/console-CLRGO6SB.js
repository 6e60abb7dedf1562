import{A as ie,B as ne,C as ae,D as re,E as oe,F as le,G as de,H as ce,I as pe,a as J,b as n,c as l,d as G,e as f,f as h,g as u,h as Q,i as b,j as $,k as P,l as C,m as k,n as y,o as m,p as A,q as x,r as Y,s as O,t as X,u as R,v as Z,w as V,x as ee,y as te,z as se}from"./chunk-42GI3ZYP.js";import{a as c}from"./chunk-JFKSI6I7.js";var q=class{#e;#t=new Set;constructor(a){this.#e=a,this.state=a===null?"signed-out":"signed-in"}async getToken(){if(this.#e!==null&&xe(this.#e)<=Date.now()&&this.#s(null,"expired"),this.#e===null)throw new Error("There is no token.");return this.#e}useToken(a){this.#s(a.trim(),"signed-in")}async signIn(){this.#s(null,"expired")}async signOut(){this.#s(null,"signed-out")}onChange(a){return this.#t.add(a),()=>this.#t.delete(a)}#s(a,e){this.#e=a,this.state=e;for(let t of this.#t)t()}};function xe(s){try{let a=s.split(".")[1]??"",{exp:e}=JSON.parse(atob(a.replace(/-/g,"+").replace(/_/g,"/")));return typeof e=="number"?e*1e3:1/0}catch{return 1/0}}var H=s=>"useToken"in s;async function ue(s){let a=we();if(a!==null||!s.issuer||!s.clientId)return new q(a);let{OidcSignIn:e}=await import("./chunk-AQAMYFPF.js"),t=new e({...s,issuer:s.issuer,clientId:s.clientId});return await t.start(),t}function we(){let s=new URLSearchParams(location.hash.slice(1)),a=s.get("token");if(a===null)return null;s.delete("token");let e=s.toString();return history.replaceState(history.state,"",`${location.pathname}${location.search}${e===""?"":`#${e}`}`),a.trim()===""?null:a.trim()}var he=["occurredAt","type","keyId","actor","address","requestId","id"];function me(s,a){if(a==="ndjson")return s.map(t=>`${JSON.stringify(t)}
`).join("");let e=s.map(t=>[...he.map(i=>t[i]??""),JSON.stringify(t.details)]);return[[...he,"details"],...e].map(t=>`${t.map(Ie).join(",")}\r
`).join("")}function Ie(s){let a=/^[=+\-@\t\r]/.test(s)?`'${s}`:s;return/[",\r\n]/.test(a)?`"${a.replaceAll('"','""')}"`:a}function ve(s,a,e){let t=document.createElement("a");t.href=URL.createObjectURL(new Blob([s],{type:e})),t.download=a,t.click(),setTimeout(()=>URL.revokeObjectURL(t.href),1e4)}var N={type:"",keyId:"",actor:"",since:"",until:""},Ee=100,Se=25,Te=2e3,Le=1e3,Pe=300,w=class extends b{constructor(){super();this.keyId="";this.filters=N;this.exported=null;this.exportError=null;this.found=new $(this);this.#e=new Map;this.#t=k();new C(this)}#e;#t;#s;willUpdate(e){e.has("keyId")&&(this.filters={...N,keyId:this.keyId}),(e.has("api")||e.has("keyId"))&&this.reload()}async reload(){await this.found.run(()=>this.#o({events:[],next:null,scanned:0}))}async#n(){let e=this.found.value;e!==void 0&&await this.found.run(()=>this.#o(e))}#i(e){this.filters={...this.filters,...e},this.exported=null,clearTimeout(this.#s),this.#s=setTimeout(()=>{this.reload()},"actor"in e?Pe:0)}async#o(e){let{filters:t}=this,i=[...e.events],{next:r,scanned:d}=e,v=i.length+Se,I=d+Te;do{let L=await this.api.events(fe(t,r,Ee));d+=L.items.length,r=L.next,i.push(...L.items.filter(ke=>ye(ke,t))),ge(L.items.at(-1),t)&&(r=null)}while(r!==null&&i.length<v&&d<I);return await this.#a(i),{events:i,next:r,scanned:d}}async#a(e){let t=new Set;for(let r of e){if(r.keyId===null||this.#e.has(r.keyId))continue;let d=ae(r);d===null?t.add(r.keyId):this.#e.set(r.keyId,d)}let i=[...t].filter(r=>!this.#e.has(r)).slice(0,50);await Promise.all(i.map(async r=>{try{this.#e.set(r,(await this.api.key(r)).value.name)}catch{this.#e.set(r,r)}}))}render(){let e=u.audit,{value:t,error:i,busy:r,slow:d}=this.found,v=this.exported!==null&&!this.exported.done;return n`
<div class="view-head">
<div>
<h1 class="title" tabindex="-1">${e.title}</h1>
<p class="muted">${e.intro}</p>
</div>
<div class="actions">
<button type="button" class="button" data-export="ndjson" ?disabled=${v} @click=${()=>this.#d("ndjson")}>${m("download")} ${e.exportNdjson}</button>
<button type="button" class="button" data-export="csv" ?disabled=${v} @click=${()=>this.#d("csv")}>${m("download")} ${e.exportCsv}</button>
</div>
</div>
${this.#r()}
<p class="small muted" role="status">
${this.exported===null?"":this.exported.done?e.exported(this.exported.count):e.exporting(this.exported.count)}
</p>
${[i,this.exportError].map(I=>x(I,()=>this.reload()))}
${t===void 0?l:t.events.length===0?n`<section class="empty small"><h2>${e.none}</h2><p class="muted">${e.scanned(t.scanned)}</p></section>`:n`<ol class="event-list" aria-label=${e.title} aria-busy=${r?"true":"false"}>${t.events.map(I=>this.#l(I))}</ol>`}
${t?.next==null?l:n`<p class="form-foot"><button type="button" class="button" ?disabled=${r} @click=${()=>this.#n()}>${u.events.older}</button>
<span class="muted small">${e.scanned(t.scanned)}</span></p>`}
${d?n`<p class="slow" role="status">${u.common.slow}</p>`:l}
`}#r(){let e=u.audit,{filters:t}=this,i=JSON.stringify(t)!==JSON.stringify(N);return n`<div class="tools">
<div class="select">
<label for="${this.#t}-type">${e.type}</label>
<select id="${this.#t}-type" @change=${r=>this.#i({type:F(r)})}>
<option value="">${e.typeAny}</option>
${Object.entries(u.events.types).map(([r,d])=>n`<option value=${r} ?selected=${t.type===r}>${d}</option>`)}
</select>
</div>
<div class="select">
<label for="${this.#t}-actor">${e.actor}</label>
<input id="${this.#t}-actor" type="search" autocomplete="off" placeholder=${e.actorPlaceholder} .value=${t.actor} @input=${r=>this.#i({actor:F(r).trim()})} />
</div>
<div class="select">
<label for="${this.#t}-since">${e.since}</label>
<input id="${this.#t}-since" type="date" .value=${t.since} @change=${r=>this.#i({since:F(r)})} />
</div>
<div class="select">
<label for="${this.#t}-until">${e.until}</label>
<input id="${this.#t}-until" type="date" .value=${t.until} @change=${r=>this.#i({until:F(r)})} />
</div>
${i?n`<button type="button" class="button" @click=${()=>this.#i(N)}>${e.clear}</button>`:l}
${t.keyId===""?l:n`<p class="small muted">${e.onlyKey(this.#e.get(t.keyId)??t.keyId)}</p>`}
</div>`}#l(e){let{keyId:t}=e,i=t===null?"":this.#e.get(t)??t,r=ne(e,i,d=>this.#e.get(d));return n`<li>
${oe(e)}
<div>
<p class="long">${t===null?r:n`<a class="link" href="#/keys/${t}">${r}</a>`}</p>
<p class="muted small long">${re(e).join(" · ")}</p>
</div>
<div class="event-when">
<p>${X(e.occurredAt)}</p>
${e.address===null?l:n`<p><code>${e.address}</code></p>`}
${t===null||this.filters.keyId!==""?l:n`<button type="button" class="link" @click=${()=>this.#i({keyId:t})}>${u.audit.onlyThisKey}<span class="visually-hidden">: ${i}</span></button>`}
</div>
</li>`}async#d(e){let{filters:t}=this,i=[];this.exported={count:0,done:!1},this.exportError=null;try{let d=null;do{let v=await this.api.events(fe(t,d,Le));i.push(...v.items.filter(I=>ye(I,t))),d=ge(v.items.at(-1),t)?null:v.next,this.exported={count:i.length,done:!1}}while(d!==null)}catch(d){this.exported=null,this.exportError=P(d);return}let r=e==="csv"?"text/csv;charset=utf-8":"application/x-ndjson";ve(me(i,e),`api-key-events-${new Date().toISOString().slice(0,10)}.${e}`,r),this.exported={count:i.length,done:!0}}};c([f({attribute:!1})],w.prototype,"api",2),c([f()],w.prototype,"keyId",2),c([h()],w.prototype,"filters",2),c([h()],w.prototype,"exported",2),c([h()],w.prototype,"exportError",2);y("rally-audit-view",w);var F=s=>s.target.value;function fe({type:s,keyId:a},e,t){let i={limit:t};return s!==""&&(i.type=s),a!==""&&(i.keyId=a),e!==null&&(i.cursor=e),i}function ye(s,{actor:a,since:e,until:t}){let i=Date.parse(s.occurredAt);return e!==""&&i<_(e)||t!==""&&i>=_(t,1)?!1:a===""||se(s.actor).toLowerCase().includes(a.toLowerCase())}var ge=(s,{since:a})=>s!==void 0&&a!==""&&Date.parse(s.occurredAt)<_(a);function _(s,a=0){let[e=0,t=1,i=1]=s.split("-").map(Number);return new Date(e,t-1,i+a).getTime()}var o=u.policy,Ce=500,Ae={lifetime:3650,keys:1e6,idle:3650,rateRequests:1e6},Oe={maxLifetimeDays:"lifetime",maxActiveKeys:"keys",idleSuspendDays:"idle",defaultRateLimit:"rateRequests"},g=class extends b{constructor(){super(...arguments);this.mayChange=!1;this.draft=null;this.errors={};this.error=null;this.saving=!1;this.saved=!1;this.confirms=null;this.policy=new $(this);this.trial=new $(this);this.#e=k();this.#u=async e=>{if(e.preventDefault(),this.draft===null||this.saving)return;clearTimeout(this.#t),this.trial.value===void 0&&await this.#i();let{value:t}=this.trial;t!==void 0&&t.violationCount>0?this.confirms=t:await this.#c()}}#e;#t;willUpdate(e){e.has("api")&&this.reload()}async reload(){await this.policy.run(()=>this.api.policy())&&(this.trial.reset(),this.draft??=z(this.policy.value))}get#s(){let{value:e}=this.policy;return e!==void 0&&this.draft!==null&&JSON.stringify(M(this.draft))!==JSON.stringify(M(z(e)))}#n(e){this.draft!==null&&(this.draft={...this.draft,...e},this.saved=!1,this.error=null,this.errors=qe(this.draft),clearTimeout(this.#t),this.trial.reset(),this.#s&&Object.keys(this.errors).length===0&&(this.#t=setTimeout(()=>{this.#i()},Ce)))}async#i(){let{draft:e}=this;e!==null&&await this.trial.run(()=>this.api.setPolicy(M(e),!0))}render(){let{value:e,error:t,slow:i}=this.policy;return n`
<div class="view-head">
<div>
<h1 class="title" tabindex="-1">${o.title}</h1>
<p class="muted">${o.intro}</p>
</div>
</div>
${x(t,()=>this.reload())}
${e===void 0||this.draft===null?l:n`${this.#o(this.draft)} ${this.#p(e)}`}
${i?n`<p class="slow" role="status">${u.common.slow}</p>`:l}
${this.confirms===null?l:n`<rally-policy-dialog .trial=${this.confirms} @closed=${()=>this.confirms=null} @confirmed=${()=>this.#c()}></rally-policy-dialog>`}
`}#o(e){let t=!this.mayChange||this.saving;return n`<form class="card" novalidate aria-label=${o.title} @submit=${this.#u}>
${this.mayChange?l:n`<p class="note">${m("info")}<span>${o.readOnly}</span></p>`}
<div class="rules">
${this.#a("lifetime",o.lifetime,o.lifetimeHint,o.days,e,t)}
${this.#a("keys",o.keys,o.keysHint,o.unitKeys,e,t)}
${this.#a("idle",o.idle,o.idleHint,o.days,e,t)}
<div class="field">
<label for="${this.#e}-scopes">${o.scopes}</label>
<select id="${this.#e}-scopes" ?disabled=${t} @change=${i=>this.#n({scopes:j(i)})}>
<option value="">${o.scopesAny}</option>
${V.map(i=>n`<option value=${i} ?selected=${e.scopes===i}>${u.scopes[i]}</option>`)}
</select>
</div>
<div class="field">
<label for="${this.#e}-rateRequests">${o.rate}</label>
<div class="pair">
${this.#r("rateRequests",e,t)}
<label for="${this.#e}-window">${o.requests} ${u.form.rateWindow}</label>
<select id="${this.#e}-window" ?disabled=${t} @change=${i=>this.#n({rateWindow:Number(j(i))})}>
${[...new Set([...ee,e.rateWindow])].map(i=>n`<option value=${i} ?selected=${e.rateWindow===i}>${te(i)}</option>`)}
</select>
</div>
${this.#l("rateRequests",o.rateHint)}
</div>
<div class="field">
<label for="${this.#e}-leak">${o.leak}</label>
<select id="${this.#e}-leak" ?disabled=${t} @change=${i=>this.#n({leak:j(i)})}>
${[["revoke",o.leakRevoke],["suspend",o.leakSuspend],["notify",o.leakNotify]].map(([i,r])=>n`<option value=${i} ?selected=${e.leak===i}>${r}</option>`)}
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
${this.mayChange?this.#d():l}
</form>`}#a(e,t,i,r,d,v){return n`<div class="field">
<label for="${this.#e}-${e}">${t}</label>
<div class="pair">${this.#r(e,d,v)} <span class="muted">${r}</span></div>
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
@input=${r=>this.#n({[e]:j(r).trim()})}
/>`}#l(e,t){let i=this.errors[e];return n`<div id="${this.#e}-${e}-hint">
<p class="hint-text">${t}</p>
${i===void 0?l:n`<p class="field-error">${m("warning")}<span>${i}</span></p>`}
</div>`}#d(){let{value:e,busy:t,error:i}=this.trial,r=Object.keys(this.errors).length>0,d=this.saved?n`<span class="verdict good">${m("check")} ${o.saved}</span>`:i!==null?x(i,()=>this.#i()):t?n`<span class="muted">${o.checking}</span>`:e===void 0?l:e.violationCount>0?n`<span class="verdict warn" data-breaks=${e.violationCount}>${m("warning")} ${o.wouldBreak(e.violationCount)}</span>`:n`<span class="verdict good" data-breaks="0">${m("check")} ${o.wouldBreakNone}</span>`;return n`<div class="form-foot">
<button type="submit" class="button primary" ?disabled=${!this.#s||this.saving||r}>
${this.saving?o.saving:this.#s||this.saved?o.save:o.unchanged}
</button>
<div role="status">${d}</div>
</div>
${e===void 0||e.violations.length===0?l:W(e)}`}#p(e){return n`<section class="card" aria-labelledby="${this.#e}-violations">
<h2 class="section-title" id="${this.#e}-violations">
${e.violationCount===0?o.breaksNone:o.breaks(e.violationCount)}
</h2>
${e.violationCount===0?l:n`<p class="muted">${o.breaksHint}</p>${W(e)}`}
</section>`}#u;async#c(){if(this.draft!==null){this.saving=!0,this.error=null;try{let e=await this.api.setPolicy(M(this.draft),!1);this.policy.value=e,this.draft=z(e),this.trial.reset(),this.saved=!0}catch(e){let t=P(e),i=t.errors.flatMap(({field:r,message:d})=>{let v=Oe[r.split(".")[0]??""];return v===void 0?[]:[[v,d]]});i.length>0&&i.length===t.errors.length?this.errors=Object.fromEntries(i):this.error=t}finally{this.saving=!1}}}};c([f({attribute:!1})],g.prototype,"api",2),c([f({type:Boolean})],g.prototype,"mayChange",2),c([h()],g.prototype,"draft",2),c([h()],g.prototype,"errors",2),c([h()],g.prototype,"error",2),c([h()],g.prototype,"saving",2),c([h()],g.prototype,"saved",2),c([h()],g.prototype,"confirms",2);y("rally-policy-view",g);var K=class extends A{render(){return this.frame(o.confirmTitle,n`<p class="verdict warn">${m("warning")} ${o.wouldBreak(this.trial.violationCount)}</p>
<p>${o.confirmText}</p>
${W(this.trial)}`,n`<button type="button" class="button" data-focus @click=${()=>this.close()}>${u.common.cancel}</button>
<button
type="button"
class="button primary"
@click=${()=>{this.close(),this.emit("confirmed")}}
>
${o.confirm}
</button>`,{wide:!0})}};c([f({attribute:!1})],K.prototype,"trial",2);y("rally-policy-dialog",K);function W(s){return n`<div class="scroll" tabindex="0" role="group" aria-label=${o.wouldBreak(s.violationCount)}>
<table class="plain">
<thead>
<tr><th scope="col">${u.list.columnName}</th><th scope="col">${o.columnRules}</th><th scope="col">${u.list.columnLastUsed}</th></tr>
</thead>
<tbody>
${s.violations.map(a=>Re(a))}
</tbody>
</table>
</div>
${s.violationCount>s.violations.length?n`<p class="hint-text">${o.first(s.violations.length)}</p>`:l}`}function Re(s){let a=[s.lastAddress,s.lastUserAgent].filter(Boolean).join(" · ");return n`<tr>
<td><a class="key-name link" href="#/keys/${s.keyId}">${s.name}</a> <code class="hint">${s.keyHint}</code></td>
<td>${s.rules.map(({rule:e})=>n`<span class="mark">${o.rules[e]??e}</span> `)}</td>
<td>${O(s.lastUsedAt,n`<span class="muted">${u.time.never}</span>`)}${a===""?l:n`<span class="fact-hint long">${a}</span>`}</td>
</tr>`}var j=s=>s.target.value,z=s=>({lifetime:D(s.maxLifetimeDays),keys:D(s.maxActiveKeys),idle:D(s.idleSuspendDays),scopes:s.allowedScopes==null?"":R(s.allowedScopes),addresses:s.requireAllowedAddresses===!0,leak:s.onLeak,rateRequests:D(s.defaultRateLimit?.requests),rateWindow:s.defaultRateLimit?.windowSeconds??60}),D=s=>s==null?"":String(s),B=s=>s===""?null:Number(s),M=s=>({maxLifetimeDays:B(s.lifetime),maxActiveKeys:B(s.keys),idleSuspendDays:B(s.idle),allowedScopes:s.scopes===""?null:Z[s.scopes],requireAllowedAddresses:s.addresses?!0:null,onLeak:s.leak,defaultRateLimit:s.rateRequests===""?null:{requests:Number(s.rateRequests),windowSeconds:s.rateWindow}});function qe(s){let e=Object.entries(Ae).filter(([t,i])=>s[t]!==""&&!(/^[1-9]\d*$/.test(s[t])&&Number(s[t])<=i));return Object.fromEntries(e.map(([t,i])=>[t,o.range(Y(i))]))}var Ne=10,T=class extends b{constructor(){super();this.range="month";this.usage=new $(this);this.latest=new $(this);this.#e=k();new C(this)}#e;willUpdate(e){e.has("api")&&this.reload()}async reload(){let e=()=>this.api.list({sort:"-lastUsedAt",limit:Ne,include:"usage",status:"active,suspended,expired"});await Promise.all([this.#t(),this.latest.run(e)])}async#t(){let e=le[this.range];e!==void 0&&await this.usage.run(()=>this.api.tenantUsage(de(e),e.interval))}render(){let{value:e,error:t,slow:i}=this.usage,r=this.latest.value?.items.filter(d=>d.lastUsedAt!==null)??[];return n`
<div class="view-head">
<div>
<h1 class="title" tabindex="-1">${u.usage.tenantTitle}</h1>
<p class="muted">${u.usage.tenantIntro}</p>
</div>
${ce(this.range,d=>{this.range=d,this.#t()})}
</div>
${x(t,()=>this.reload())}
${e===void 0?l:n`<section class="card" aria-label=${u.usage.chart}><rally-usage-chart .buckets=${e.buckets} interval=${e.interval}></rally-usage-chart></section>`}
${i?n`<p class="slow" role="status">${u.common.slow}</p>`:l}
${r.length===0?l:n`<section class="card" aria-labelledby="${this.#e}-latest">
<h2 class="section-title" id="${this.#e}-latest">${u.usage.latest}</h2>
<div class="scroll" tabindex="0" role="group" aria-labelledby="${this.#e}-latest">
<table class="plain">
<thead>
<tr><th scope="col">${u.list.columnName}</th><th scope="col">${u.list.columnUsage}</th><th scope="col">${u.list.columnLastUsed}</th></tr>
</thead>
<tbody>
${r.map(d=>n`<tr>
<td><a class="key-name link" href="#/keys/${d.id}">${d.name}</a></td>
<td>${ie(d.usage??[])}</td>
<td>${O(d.lastUsedAt)}</td>
</tr>`)}
</tbody>
</table>
</div>
</section>`}
`}};c([f({attribute:!1})],T.prototype,"api",2),c([h()],T.prototype,"range",2);y("rally-usage-view",T);var $e=J`:host{min-block-size:100vh;background:var(--bg)}.skip{position:absolute;inset-inline-start:8px;inset-block-start:-60px;z-index:1;padding:8px 14px;border:0;border-radius:6px;background:var(--accent);color:var(--on-accent)}.skip:focus{inset-block-start:8px}.bar{border-block-end:1px solid var(--border);background:var(--surface)}.bar-in{display:flex;flex-wrap:wrap;align-items:center;gap:0 24px;max-inline-size:1200px;min-block-size:54px;margin-inline:auto;padding-inline:20px}.brand{min-inline-size:0;display:inline-flex;align-items:center;gap:8px;font-weight:650}.brand .icon{color:var(--accent)}.nav{display:flex;gap:4px;align-self:stretch;overflow-x:auto}.nav-link{display:inline-flex;align-items:center;padding-inline:10px;border-block:2px solid transparent;color:var(--muted);text-decoration:none;font-weight:550;white-space:nowrap}.nav-link:hover{color:var(--text)}.nav-link:focus-visible{outline-offset:-2px}.nav-link[aria-current]{color:var(--text);border-block-end-color:var(--accent)}.account{display:flex;align-items:center;gap:12px;margin-inline-start:auto;min-inline-size:0}.who{max-inline-size:220px;overflow:hidden;text-overflow:ellipsis;white-space:nowrap;color:var(--muted)}.page{max-inline-size:1200px;margin-inline:auto;padding:24px 20px 64px}.page:focus-visible{outline:none}.entry{max-inline-size:520px;margin:8vh auto 0;padding:24px}.entry .title{margin-block-end:10px}.entry p{margin-block-end:8px}.entry pre{white-space:pre-wrap;margin-block:4px 12px;font-size:13px}@media(max-width:720px){.bar-in{padding:8px 14px 0}.nav{order:1;inline-size:100%;min-block-size:40px;margin-inline:-10px}.nav-link{padding-inline:9px}.bar-in{gap:0 12px}.account{gap:8px}.who{max-inline-size:30vw;font-size:13px}.page{padding:16px 14px 48px}}`;var be=["keys","usage","audit","policy"],p=u.shell,E=class extends G{constructor(){super(...arguments);this.section="keys";this.keyId="";this.signIn=null;this.signInError="";this.me=new $(this);this.#e=new Q(location.origin,()=>this.#a());this.#t=!1;this.#s=!1;this.#a=async()=>{if(this.signIn===null)throw new Error(p.signInTitle);return this.signIn.getToken()};this.#r=()=>{let[,e="",t=""]=location.hash.split("/");this.section=be.find(i=>i===e)??"keys",this.keyId=this.section==="keys"&&/^[0-9a-f-]{36}$/i.test(t)?t:"",document.title=`${p[this.section]} · ${p.product}`};this.#v=()=>{this.renderRoot.querySelector("#main")?.focus()}}static{this.styles=[pe,$e]}#e;#t;#s;connectedCallback(){super.connectedCallback(),this.#n(),addEventListener("hashchange",this.#r)}disconnectedCallback(){super.disconnectedCallback(),removeEventListener("hashchange",this.#r)}async#n(){try{this.signIn=await ue(Fe())}catch(e){this.signInError=e instanceof Error?e.message:String(e);return}this.signIn.onChange(()=>this.#i()),this.#r(),this.#i()}#i(){if(this.requestUpdate(),this.signIn?.state==="signed-out"&&(this.#t=!1),this.signIn?.state!=="signed-in")return;let e=this.#t;this.#t=!0,this.me.run(()=>this.#e.me()),e&&this.#o()}async#o(){await this.renderRoot.querySelector("rally-api-keys")?.reload(),await this.renderRoot.querySelector("[data-view]")?.reload()}#a;#r;updated(e){e.has("section")&&e.get("section")!==void 0&&this.section!=="keys"&&this.renderRoot.querySelector("[data-view] .title")?.focus()}render(){let{signIn:e}=this,t=e!==null&&this.#t&&e.state!=="signed-out";return n`
<header class="bar">
<button type="button" class="skip" @click=${this.#v}>${p.skip}</button>
<div class="bar-in">
<span class="brand">${m("key")} <span class="brand-tenant">${this.me.value?.tenant.name??p.product}</span></span>
${t?this.#l():l}
${t?this.#p():l}
</div>
</header>
<main id="main" class="page" tabindex="-1" @sign-in-required=${()=>this.signIn?.signIn()}>
${this.signInError===""?l:n`<p class="note warn">${m("warning")}<span>${this.signInError}</span></p>`}
${t?this.#u():e===null?l:this.#h(e)}
</main>
${t&&e.state==="expired"?n`<rally-session-dialog .signIn=${e}></rally-session-dialog>`:l}
`}#l(){return n`<nav class="nav" aria-label=${p.nav}>
${be.map(e=>n`<a class="nav-link" href="#/${e}" aria-current=${this.section===e?"page":l} @click=${t=>this.#d(t,e)}>${p[e]}</a>`)}
</nav>`}#d(e,t){t==="keys"&&this.section==="keys"&&this.keyId===""&&e.preventDefault()}#p(){let e=this.me.value?.principal.name;return n`<div class="account">
${e===void 0?l:n`<span class="who" title=${p.signedInAs(e)}><span class="visually-hidden">${p.signedInAs("")}</span>${e}</span>`}
<button type="button" class="button" @click=${()=>this.signIn?.signOut()}>${p.signOut}</button>
</div>`}#u(){let e=R(this.me.value?.scopes??"read")==="admin";this.#s||=this.section==="keys";let t=this.me.value!==void 0&&!e;return n`
${t?n`<p class="note">${m("info")}<span>${p.reader}</span></p>`:l}
${this.#s?this.#c():l}
${this.section==="usage"?n`<rally-usage-view data-view .api=${this.#e}></rally-usage-view>`:l}
${this.section==="audit"?n`<rally-audit-view data-view .api=${this.#e}></rally-audit-view>`:l}
${this.section==="policy"?n`<rally-policy-view data-view .api=${this.#e} ?mayChange=${e}></rally-policy-view>`:l}
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
${this.explain?n`<p>${p.pasteText}</p><p class="muted">${p.pasteHow}</p><pre class="note"><code>rally-api-keys token --tenant … --email … --scopes admin</code></pre>`:l}
<div class="field">
<label for=${this.#e}>${p.pasteLabel}</label>
<input id=${this.#e} type="password" autocomplete="off" spellcheck="false" aria-describedby="${this.#e}-hint" aria-invalid=${this.message?"true":"false"} />
<div id="${this.#e}-hint">
<p class="hint-text">${p.pasteHint}</p>
${this.message?n`<p class="field-error">${m("warning")}<span>${this.message}</span></p>`:l}
</div>
</div>
<button type="submit" class="button primary">${p.pasteSubmit}</button>
</form>`}#t};c([f({attribute:!1})],S.prototype,"signIn",2),c([f({type:Boolean})],S.prototype,"explain",2),c([h()],S.prototype,"message",2);y("rally-paste-token",S);var U=class extends A{mayClose(){return!1}render(){let{signIn:a}=this;return H(a)?this.frame(p.expiredTitle,n`<p>${p.expiredPaste}</p><rally-paste-token .signIn=${a}></rally-paste-token>`,l,{closable:!1}):this.frame(p.expiredTitle,n`<p>${p.expiredText}</p>`,n`<button type="button" class="button" @click=${()=>a.signOut()}>${p.signOut}</button>
<button type="button" class="button primary" data-focus @click=${()=>a.signIn()}>${p.signIn}</button>`,{closable:!1})}};c([f({attribute:!1})],U.prototype,"signIn",2);y("rally-session-dialog",U);function Fe(){let s=document.querySelector('meta[name="rally-console"]')?.content??"";try{return JSON.parse(s||"{}")}catch{return{}}}y("rally-console",E);export{E as RallyConsole};
