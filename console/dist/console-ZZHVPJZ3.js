import{A as se,B as ie,C as ne,D as re,E as ae,F as oe,G as le,H as de,a as c,b as W,c as n,d as o,e as J,f,g as h,h as u,i as G,j as m,k,l as g,m as L,n as P,o as x,p as y,q as C,r as Q,s as O,t as Y,u as A,v as X,w as Z,x as V,y as ee,z as te}from"./chunk-GAWHXBX7.js";var R=class{#e;#t=new Set;constructor(r){this.#e=r,this.state=r===null?"signed-out":"signed-in"}async getToken(){if(this.#e!==null&&be(this.#e)<=Date.now()&&this.#s(null,"expired"),this.#e===null)throw new Error("There is no token.");return this.#e}useToken(r){this.#s(r.trim(),"signed-in")}async signIn(){this.#s(null,"expired")}async signOut(){this.#s(null,"signed-out")}onChange(r){return this.#t.add(r),()=>this.#t.delete(r)}#s(r,e){this.#e=r,this.state=e;for(let t of this.#t)t()}};function be(s){try{let r=s.split(".")[1]??"",{exp:e}=JSON.parse(atob(r.replace(/-/g,"+").replace(/_/g,"/")));return typeof e=="number"?e*1e3:1/0}catch{return 1/0}}var U=s=>"useToken"in s;async function ce(s){let r=ke();if(r!==null||!s.issuer||!s.clientId)return new R(r);throw new Error("No OpenID Connect sign-in is built in.")}function ke(){let s=new URLSearchParams(location.hash.slice(1)),r=s.get("token");if(r===null)return null;s.delete("token");let e=s.toString();return history.replaceState(history.state,"",`${location.pathname}${location.search}${e===""?"":`#${e}`}`),r.trim()===""?null:r.trim()}var pe=["occurredAt","type","keyId","actor","address","requestId","id"];function ue(s,r){if(r==="ndjson")return s.map(t=>`${JSON.stringify(t)}
`).join("");let e=s.map(t=>[...pe.map(i=>t[i]??""),JSON.stringify(t.details)]);return[[...pe,"details"],...e].map(t=>`${t.map(xe).join(",")}\r
`).join("")}function xe(s){let r=/^[=+\-@\t\r]/.test(s)?`'${s}`:s;return/[",\r\n]/.test(r)?`"${r.replaceAll('"','""')}"`:r}function he(s,r,e){let t=document.createElement("a");t.href=URL.createObjectURL(new Blob([s],{type:e})),t.download=r,t.click(),setTimeout(()=>URL.revokeObjectURL(t.href),1e4)}var q={type:"",keyId:"",actor:"",since:"",until:""},we=100,Ie=25,Ee=2e3,Se=1e3,Te=300,w=class extends k{constructor(){super();this.keyId="";this.filters=q;this.exported=null;this.exportError=null;this.found=new g(this);this.#e=new Map;this.#t=x();new P(this)}#e;#t;#s;willUpdate(e){e.has("keyId")&&(this.filters={...q,keyId:this.keyId}),(e.has("api")||e.has("keyId"))&&this.reload()}async reload(){await this.found.run(()=>this.#o({events:[],next:null,scanned:0}))}async#n(){let e=this.found.value;e!==void 0&&await this.found.run(()=>this.#o(e))}#i(e){this.filters={...this.filters,...e},this.exported=null,clearTimeout(this.#s),this.#s=setTimeout(()=>{this.reload()},"actor"in e?Te:0)}async#o(e){let{filters:t}=this,i=[...e.events],{next:a,scanned:d}=e,v=i.length+Ie,b=d+Ee;do{let T=await this.api.events(me(t,a,we));d+=T.items.length,a=T.next,i.push(...T.items.filter(ge=>ve(ge,t))),fe(T.items.at(-1),t)&&(a=null)}while(a!==null&&i.length<v&&d<b);return await this.#r(i),{events:i,next:a,scanned:d}}async#r(e){let t=new Set;for(let a of e){if(a.keyId===null||this.#e.has(a.keyId))continue;let d=ie(a);d===null?t.add(a.keyId):this.#e.set(a.keyId,d)}let i=[...t].filter(a=>!this.#e.has(a)).slice(0,50);await Promise.all(i.map(async a=>{try{this.#e.set(a,(await this.api.key(a)).value.name)}catch{this.#e.set(a,a)}}))}render(){let e=u.audit,{value:t,error:i,busy:a,slow:d}=this.found,v=this.exported!==null&&!this.exported.done;return n`
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
${this.#a()}
<p class="small muted" role="status">
${this.exported===null?"":this.exported.done?e.exported(this.exported.count):e.exporting(this.exported.count)}
</p>
${[i,this.exportError].map(b=>b===null?o:n`<rally-error-box .error=${b} retry auto @retry=${()=>this.reload()}></rally-error-box>`)}
${t===void 0?o:t.events.length===0?n`<section class="empty small"><h2>${e.none}</h2><p class="muted">${e.scanned(t.scanned)}</p></section>`:n`<ol class="event-list" aria-label=${e.title} aria-busy=${a?"true":"false"}>${t.events.map(b=>this.#l(b))}</ol>`}
${t?.next==null?o:n`<p class="form-foot"><button type="button" class="button" ?disabled=${a} @click=${()=>this.#n()}>${u.events.older}</button>
<span class="muted small">${e.scanned(t.scanned)}</span></p>`}
${d?n`<p class="slow" role="status">${u.common.slow}</p>`:o}
`}#a(){let e=u.audit,{filters:t}=this,i=JSON.stringify(t)!==JSON.stringify(q);return n`<div class="tools">
<div class="select">
<label for="${this.#t}-type">${e.type}</label>
<select id="${this.#t}-type" @change=${a=>this.#i({type:N(a)})}>
<option value="">${e.typeAny}</option>
${Object.entries(u.events.types).map(([a,d])=>n`<option value=${a} ?selected=${t.type===a}>${d}</option>`)}
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
${i?n`<button type="button" class="button" @click=${()=>this.#i(q)}>${e.clear}</button>`:o}
${t.keyId===""?o:n`<p class="small muted">${e.onlyKey(this.#e.get(t.keyId)??t.keyId)}</p>`}
</div>`}#l(e){let{keyId:t}=e,i=t===null?"":this.#e.get(t)??t,a=se(e,i,d=>this.#e.get(d));return n`<li>
${re(e)}
<div>
<p class="long">${t===null?a:n`<a class="link" href="#/keys/${t}">${a}</a>`}</p>
<p class="muted small long">${ne(e).join(" · ")}</p>
</div>
<div class="event-when">
<p>${Y(e.occurredAt)}</p>
${e.address===null?o:n`<p><code>${e.address}</code></p>`}
${t===null||this.filters.keyId!==""?o:n`<button type="button" class="link" @click=${()=>this.#i({keyId:t})}>${u.audit.onlyThisKey}<span class="visually-hidden">: ${i}</span></button>`}
</div>
</li>`}async#d(e){let{filters:t}=this,i=[];this.exported={count:0,done:!1},this.exportError=null;try{let d=null;do{let v=await this.api.events(me(t,d,Se));i.push(...v.items.filter(b=>ve(b,t))),d=fe(v.items.at(-1),t)?null:v.next,this.exported={count:i.length,done:!1}}while(d!==null)}catch(d){this.exported=null,this.exportError=L(d);return}let a=e==="csv"?"text/csv;charset=utf-8":"application/x-ndjson";he(ue(i,e),`api-key-events-${new Date().toISOString().slice(0,10)}.${e}`,a),this.exported={count:i.length,done:!0}}};c([f({attribute:!1})],w.prototype,"api",2),c([f()],w.prototype,"keyId",2),c([h()],w.prototype,"filters",2),c([h()],w.prototype,"exported",2),c([h()],w.prototype,"exportError",2);y("rally-audit-view",w);var N=s=>s.target.value;function me({type:s,keyId:r},e,t){let i={limit:t};return s!==""&&(i.type=s),r!==""&&(i.keyId=r),e!==null&&(i.cursor=e),i}function ve(s,{actor:r,since:e,until:t}){let i=Date.parse(s.occurredAt);return e!==""&&i<H(e)||t!==""&&i>=H(t,1)?!1:r===""||ee(s.actor).toLowerCase().includes(r.toLowerCase())}var fe=(s,{since:r})=>s!==void 0&&r!==""&&Date.parse(s.occurredAt)<H(r);function H(s,r=0){let[e=0,t=1,i=1]=s.split("-").map(Number);return new Date(e,t-1,i+r).getTime()}var l=u.policy,Le=500,Pe=[1,60,3600,86400],Ce={lifetime:3650,keys:1e6,idle:3650,rateRequests:1e6},Oe={maxLifetimeDays:"lifetime",maxActiveKeys:"keys",idleSuspendDays:"idle",defaultRateLimit:"rateRequests"},$=class extends k{constructor(){super(...arguments);this.mayChange=!1;this.draft=null;this.errors={};this.error=null;this.saving=!1;this.saved=!1;this.confirms=null;this.policy=new g(this);this.trial=new g(this);this.#e=x();this.#u=async e=>{if(e.preventDefault(),this.draft===null||this.saving)return;clearTimeout(this.#t),this.trial.value===void 0&&await this.#i();let{value:t}=this.trial;t!==void 0&&t.violationCount>0?this.confirms=t:await this.#c()}}#e;#t;willUpdate(e){e.has("api")&&this.reload()}async reload(){await this.policy.run(()=>this.api.policy())&&(this.trial.reset(),this.draft??=_(this.policy.value))}get#s(){let{value:e}=this.policy;return e!==void 0&&this.draft!==null&&JSON.stringify(j(this.draft))!==JSON.stringify(j(_(e)))}#n(e){this.draft!==null&&(this.draft={...this.draft,...e},this.saved=!1,this.error=null,this.errors=Re(this.draft),clearTimeout(this.#t),this.trial.reset(),this.#s&&Object.keys(this.errors).length===0&&(this.#t=setTimeout(()=>{this.#i()},Le)))}async#i(){let{draft:e}=this;e!==null&&await this.trial.run(()=>this.api.setPolicy(j(e),!0))}render(){let{value:e,error:t,slow:i}=this.policy;return n`
<div class="view-head">
<div>
<h1 class="title" tabindex="-1">${l.title}</h1>
<p class="muted">${l.intro}</p>
</div>
</div>
${t===null?o:n`<rally-error-box .error=${t} retry auto @retry=${()=>this.reload()}></rally-error-box>`}
${e===void 0||this.draft===null?o:n`${this.#o(this.draft)} ${this.#p(e)}`}
${i?n`<p class="slow" role="status">${u.common.slow}</p>`:o}
${this.confirms===null?o:n`<rally-policy-dialog .trial=${this.confirms} @closed=${()=>this.confirms=null} @confirmed=${()=>this.#c()}></rally-policy-dialog>`}
`}#o(e){let t=!this.mayChange||this.saving;return n`<form class="card" novalidate aria-label=${l.title} @submit=${this.#u}>
${this.mayChange?o:n`<p class="note">${m("info")}<span>${l.readOnly}</span></p>`}
<div class="rules">
${this.#r("lifetime",l.lifetime,l.lifetimeHint,l.days,e,t)}
${this.#r("keys",l.keys,l.keysHint,l.unitKeys,e,t)}
${this.#r("idle",l.idle,l.idleHint,l.days,e,t)}
<div class="field">
<label for="${this.#e}-scopes">${l.scopes}</label>
<select id="${this.#e}-scopes" ?disabled=${t} @change=${i=>this.#n({scopes:D(i)})}>
<option value="">${l.scopesAny}</option>
${Z.map(i=>n`<option value=${i} ?selected=${e.scopes===i}>${u.scopes[i]}</option>`)}
</select>
</div>
<div class="field">
<label for="${this.#e}-rateRequests">${l.rate}</label>
<div class="pair">
${this.#a("rateRequests",e,t)}
<label for="${this.#e}-window">${l.requests} ${u.form.rateWindow}</label>
<select id="${this.#e}-window" ?disabled=${t} @change=${i=>this.#n({rateWindow:Number(D(i))})}>
${[...new Set([...Pe,e.rateWindow])].map(i=>n`<option value=${i} ?selected=${e.rateWindow===i}>${V(i)}</option>`)}
</select>
</div>
${this.#l("rateRequests",l.rateHint)}
</div>
<div class="field">
<label for="${this.#e}-leak">${l.leak}</label>
<select id="${this.#e}-leak" ?disabled=${t} @change=${i=>this.#n({leak:D(i)})}>
${[["revoke",l.leakRevoke],["suspend",l.leakSuspend],["notify",l.leakNotify]].map(([i,a])=>n`<option value=${i} ?selected=${e.leak===i}>${a}</option>`)}
</select>
</div>
<div class="field">
<label class="check">
<input type="checkbox" .checked=${e.addresses} ?disabled=${t} @change=${i=>this.#n({addresses:i.target.checked})} />
<span>${l.addresses}</span>
</label>
</div>
</div>
${this.error===null?o:n`<rally-error-box .error=${this.error} retry @retry=${()=>this.#c()}></rally-error-box>`}
${this.mayChange?this.#d():o}
</form>`}#r(e,t,i,a,d,v){return n`<div class="field">
<label for="${this.#e}-${e}">${t}</label>
<div class="pair">${this.#a(e,d,v)} <span class="muted">${a}</span></div>
${this.#l(e,i)}
</div>`}#a(e,t,i){return n`<input
id="${this.#e}-${e}"
class="number"
type="text"
inputmode="numeric"
autocomplete="off"
?disabled=${i}
aria-describedby="${this.#e}-${e}-hint"
aria-invalid=${this.errors[e]===void 0?"false":"true"}
.value=${t[e]}
@input=${a=>this.#n({[e]:D(a).trim()})}
/>`}#l(e,t){let i=this.errors[e];return n`<div id="${this.#e}-${e}-hint">
<p class="hint-text">${t}</p>
${i===void 0?o:n`<p class="field-error">${m("warning")}<span>${i}</span></p>`}
</div>`}#d(){let{value:e,busy:t,error:i}=this.trial,a=Object.keys(this.errors).length>0,d=this.saved?n`<span class="verdict good">${m("check")} ${l.saved}</span>`:i!==null?n`<rally-error-box .error=${i} retry auto @retry=${()=>this.#i()}></rally-error-box>`:t?n`<span class="muted">${l.checking}</span>`:e===void 0?o:e.violationCount>0?n`<span class="verdict warn" data-breaks=${e.violationCount}>${m("warning")} ${l.wouldBreak(e.violationCount)}</span>`:n`<span class="verdict good" data-breaks="0">${m("check")} ${l.wouldBreakNone}</span>`;return n`<div class="form-foot">
<button type="submit" class="button primary" ?disabled=${!this.#s||this.saving||a}>
${this.saving?l.saving:this.#s||this.saved?l.save:l.unchanged}
</button>
<div role="status">${d}</div>
</div>
${e===void 0||e.violations.length===0?o:B(e)}`}#p(e){return n`<section class="card" aria-labelledby="${this.#e}-violations">
<h2 class="section-title" id="${this.#e}-violations">
${e.violationCount===0?l.breaksNone:l.breaks(e.violationCount)}
</h2>
${e.violationCount===0?o:n`<p class="muted">${l.breaksHint}</p>${B(e)}`}
</section>`}#u;async#c(){if(this.draft!==null){this.saving=!0,this.error=null;try{let e=await this.api.setPolicy(j(this.draft),!1);this.policy.value=e,this.draft=_(e),this.trial.reset(),this.saved=!0}catch(e){let t=L(e),i=t.errors.flatMap(({field:a,message:d})=>{let v=Oe[a.split(".")[0]??""];return v===void 0?[]:[[v,d]]});i.length>0&&i.length===t.errors.length?this.errors=Object.fromEntries(i):this.error=t}finally{this.saving=!1}}}};c([f({attribute:!1})],$.prototype,"api",2),c([f({type:Boolean})],$.prototype,"mayChange",2),c([h()],$.prototype,"draft",2),c([h()],$.prototype,"errors",2),c([h()],$.prototype,"error",2),c([h()],$.prototype,"saving",2),c([h()],$.prototype,"saved",2),c([h()],$.prototype,"confirms",2);y("rally-policy-view",$);var M=class extends C{render(){return this.frame(l.confirmTitle,n`<p class="verdict warn">${m("warning")} ${l.wouldBreak(this.trial.violationCount)}</p>
<p>${l.confirmText}</p>
${B(this.trial)}`,n`<button type="button" class="button" data-focus @click=${()=>this.close()}>${u.common.cancel}</button>
<button
type="button"
class="button primary"
@click=${()=>{this.close(),this.emit("confirmed")}}
>
${l.confirm}
</button>`,{wide:!0})}};c([f({attribute:!1})],M.prototype,"trial",2);y("rally-policy-dialog",M);function B(s){return n`<div class="scroll" tabindex="0" role="group" aria-label=${l.wouldBreak(s.violationCount)}>
<table class="plain">
<thead>
<tr><th scope="col">${u.list.columnName}</th><th scope="col">${l.columnRules}</th><th scope="col">${u.list.columnLastUsed}</th></tr>
</thead>
<tbody>
${s.violations.map(r=>Ae(r))}
</tbody>
</table>
</div>
${s.violationCount>s.violations.length?n`<p class="hint-text">${l.first(s.violations.length)}</p>`:o}`}function Ae(s){let r=[s.lastAddress,s.lastUserAgent].filter(Boolean).join(" · ");return n`<tr>
<td><a class="key-name link" href="#/keys/${s.keyId}">${s.name}</a> <code class="hint">${s.keyHint}</code></td>
<td>${s.rules.map(({rule:e})=>n`<span class="mark">${l.rules[e]??e}</span> `)}</td>
<td>${O(s.lastUsedAt,n`<span class="muted">${u.time.never}</span>`)}${r===""?o:n`<span class="fact-hint long">${r}</span>`}</td>
</tr>`}var D=s=>s.target.value,_=s=>({lifetime:F(s.maxLifetimeDays),keys:F(s.maxActiveKeys),idle:F(s.idleSuspendDays),scopes:s.allowedScopes==null?"":A(s.allowedScopes),addresses:s.requireAllowedAddresses===!0,leak:s.onLeak,rateRequests:F(s.defaultRateLimit?.requests),rateWindow:s.defaultRateLimit?.windowSeconds??60}),F=s=>s==null?"":String(s),z=s=>s===""?null:Number(s),j=s=>({maxLifetimeDays:z(s.lifetime),maxActiveKeys:z(s.keys),idleSuspendDays:z(s.idle),allowedScopes:s.scopes===""?null:X[s.scopes],requireAllowedAddresses:s.addresses?!0:null,onLeak:s.leak,defaultRateLimit:s.rateRequests===""?null:{requests:Number(s.rateRequests),windowSeconds:s.rateWindow}});function Re(s){let e=Object.entries(Ce).filter(([t,i])=>s[t]!==""&&!(/^[1-9]\d*$/.test(s[t])&&Number(s[t])<=i));return Object.fromEntries(e.map(([t,i])=>[t,l.range(Q(i))]))}var qe=10,S=class extends k{constructor(){super();this.range="month";this.usage=new g(this);this.latest=new g(this);this.#e=x();new P(this)}#e;willUpdate(e){e.has("api")&&this.reload()}async reload(){let e=()=>this.api.list({sort:"-lastUsedAt",limit:qe,include:"usage",status:"active,suspended,expired"});await Promise.all([this.#t(),this.latest.run(e)])}async#t(){let e=ae[this.range];e!==void 0&&await this.usage.run(()=>this.api.tenantUsage(oe(e),e.interval))}render(){let{value:e,error:t,slow:i}=this.usage,a=this.latest.value?.items.filter(d=>d.lastUsedAt!==null)??[];return n`
<div class="view-head">
<div>
<h1 class="title" tabindex="-1">${u.usage.tenantTitle}</h1>
<p class="muted">${u.usage.tenantIntro}</p>
</div>
${le(this.range,d=>{this.range=d,this.#t()})}
</div>
${t===null?o:n`<rally-error-box .error=${t} retry auto @retry=${()=>this.reload()}></rally-error-box>`}
${e===void 0?o:n`<section class="card" aria-label=${u.usage.chart}><rally-usage-chart .buckets=${e.buckets} interval=${e.interval}></rally-usage-chart></section>`}
${i?n`<p class="slow" role="status">${u.common.slow}</p>`:o}
${a.length===0?o:n`<section class="card" aria-labelledby="${this.#e}-latest">
<h2 class="section-title" id="${this.#e}-latest">${u.usage.latest}</h2>
<div class="scroll" tabindex="0" role="group" aria-labelledby="${this.#e}-latest">
<table class="plain">
<thead>
<tr><th scope="col">${u.list.columnName}</th><th scope="col">${u.list.columnUsage}</th><th scope="col">${u.list.columnLastUsed}</th></tr>
</thead>
<tbody>
${a.map(d=>n`<tr>
<td><a class="key-name link" href="#/keys/${d.id}">${d.name}</a></td>
<td>${te(d.usage??[])}</td>
<td>${O(d.lastUsedAt)}</td>
</tr>`)}
</tbody>
</table>
</div>
</section>`}
`}};c([f({attribute:!1})],S.prototype,"api",2),c([h()],S.prototype,"range",2);y("rally-usage-view",S);var ye=W`:host{min-block-size:100vh;background:var(--bg)}.skip{position:absolute;inset-inline-start:8px;inset-block-start:-60px;z-index:1;padding:8px 14px;border:0;border-radius:6px;background:var(--accent);color:var(--on-accent)}.skip:focus{inset-block-start:8px}.bar{border-block-end:1px solid var(--border);background:var(--surface)}.bar-in{display:flex;flex-wrap:wrap;align-items:center;gap:0 24px;max-inline-size:1200px;min-block-size:54px;margin-inline:auto;padding-inline:20px}.brand{min-inline-size:0;display:inline-flex;align-items:center;gap:8px;font-weight:650}.brand .icon{color:var(--accent)}.nav{display:flex;gap:4px;align-self:stretch;overflow-x:auto}.nav-link{display:inline-flex;align-items:center;padding-inline:10px;border-block:2px solid transparent;color:var(--muted);text-decoration:none;font-weight:550;white-space:nowrap}.nav-link:hover{color:var(--text)}.nav-link:focus-visible{outline-offset:-2px}.nav-link[aria-current]{color:var(--text);border-block-end-color:var(--accent)}.account{display:flex;align-items:center;gap:12px;margin-inline-start:auto;min-inline-size:0}.who{max-inline-size:220px;overflow:hidden;text-overflow:ellipsis;white-space:nowrap;color:var(--muted)}.page{max-inline-size:1200px;margin-inline:auto;padding:24px 20px 64px}.page:focus-visible{outline:none}.entry{max-inline-size:520px;margin:8vh auto 0;padding:24px}.entry .title{margin-block-end:10px}.entry p{margin-block-end:8px}.entry pre{overflow-x:auto;margin-block:4px 12px;font-size:13px}@media(max-width:720px){.bar-in{padding:8px 14px 0}.nav{order:1;inline-size:100%;min-block-size:40px;margin-inline:-10px}.nav-link{padding-inline:9px}.bar-in{gap:0 12px}.account{gap:8px}.who{max-inline-size:30vw;font-size:13px}.page{padding:16px 14px 48px}}`;var $e=["keys","usage","audit","policy"],p=u.shell,I=class extends J{constructor(){super(...arguments);this.section="keys";this.keyId="";this.signIn=null;this.signInError="";this.me=new g(this);this.#e=new G(location.origin,()=>this.#r());this.#t=!1;this.#s=!1;this.#r=async()=>{if(this.signIn===null)throw new Error(p.signInTitle);return this.signIn.getToken()};this.#a=()=>{let[,e="",t=""]=location.hash.split("/");this.section=$e.find(i=>i===e)??"keys",this.keyId=this.section==="keys"&&/^[0-9a-f-]{36}$/i.test(t)?t:"",document.title=`${p[this.section]} · ${p.product}`};this.#v=()=>{this.renderRoot.querySelector("#main")?.focus()}}static{this.styles=[de,ye]}#e;#t;#s;connectedCallback(){super.connectedCallback(),this.#n(),addEventListener("hashchange",this.#a)}disconnectedCallback(){super.disconnectedCallback(),removeEventListener("hashchange",this.#a)}async#n(){try{this.signIn=await ce(Ne())}catch(e){this.signInError=e instanceof Error?e.message:String(e);return}this.signIn.onChange(()=>this.#i()),this.#a(),this.#i()}#i(){if(this.requestUpdate(),this.signIn?.state==="signed-out"&&(this.#t=!1),this.signIn?.state!=="signed-in")return;let e=this.#t;this.#t=!0,this.me.run(()=>this.#e.me()),e&&this.#o()}async#o(){await this.renderRoot.querySelector("rally-api-keys")?.reload(),await this.renderRoot.querySelector("[data-view]")?.reload()}#r;#a;updated(e){e.has("section")&&e.get("section")!==void 0&&this.section!=="keys"&&this.renderRoot.querySelector("[data-view] .title")?.focus()}render(){let{signIn:e}=this,t=e!==null&&this.#t&&e.state!=="signed-out";return n`
<header class="bar">
<button type="button" class="skip" @click=${this.#v}>${p.skip}</button>
<div class="bar-in">
<span class="brand">${m("key")} <span class="brand-tenant">${this.me.value?.tenant.name??p.product}</span></span>
${t?this.#l():o}
${t?this.#p():o}
</div>
</header>
<main id="main" class="page" tabindex="-1" @sign-in-required=${()=>this.signIn?.signIn()}>
${this.signInError===""?o:n`<p class="note warn">${m("warning")}<span>${this.signInError}</span></p>`}
${t?this.#u():e===null?o:this.#h(e)}
</main>
${t&&e.state==="expired"?n`<rally-session-dialog .signIn=${e}></rally-session-dialog>`:o}
`}#l(){return n`<nav class="nav" aria-label=${p.nav}>
${$e.map(e=>n`<a class="nav-link" href="#/${e}" aria-current=${this.section===e?"page":o} @click=${t=>this.#d(t,e)}>${p[e]}</a>`)}
</nav>`}#d(e,t){t==="keys"&&this.section==="keys"&&this.keyId===""&&e.preventDefault()}#p(){let e=this.me.value?.principal.name;return n`<div class="account">
${e===void 0?o:n`<span class="who" title=${p.signedInAs(e)}><span class="visually-hidden">${p.signedInAs("")}</span>${e}</span>`}
<button type="button" class="button" @click=${()=>this.signIn?.signOut()}>${p.signOut}</button>
</div>`}#u(){let e=A(this.me.value?.scopes??"read")==="admin";this.#s||=this.section==="keys";let t=this.me.value!==void 0&&!e;return n`
${t?n`<p class="note">${m("info")}<span>${p.reader}</span></p>`:o}
${this.#s?this.#c():o}
${this.section==="usage"?n`<rally-usage-view data-view .api=${this.#e}></rally-usage-view>`:o}
${this.section==="audit"?n`<rally-audit-view data-view .api=${this.#e}></rally-audit-view>`:o}
${this.section==="policy"?n`<rally-policy-view data-view .api=${this.#e} ?mayChange=${e}></rally-policy-view>`:o}
`}#c(){return n`<rally-api-keys
?hidden=${this.section!=="keys"}
.getToken=${this.#r}
key-id=${this.keyId}
key-url="#/keys/{id}"
list-url="#/keys"
@navigated=${e=>this.#m(e.detail.id)}
></rally-api-keys>`}#h(e){return U(e)?n`<section class="entry card"><h1 class="title">${p.pasteTitle}</h1><rally-paste-token .signIn=${e} explain></rally-paste-token></section>`:n`<section class="entry card">
<h1 class="title">${p.signInTitle}</h1>
<p class="muted">${p.signInText}</p>
<p class="form-foot"><button type="button" class="button primary" @click=${()=>e.signIn()}>${p.signIn}</button></p>
</section>`}#m(e){location.hash=e===null?"#/keys":`#/keys/${e}`}#v};c([h()],I.prototype,"section",2),c([h()],I.prototype,"keyId",2),c([h()],I.prototype,"signIn",2),c([h()],I.prototype,"signInError",2);var E=class extends k{constructor(){super(...arguments);this.explain=!1;this.message="";this.#e=x();this.#t=e=>{e.preventDefault();let t=this.find("input"),i=t?.value.trim()??"";if(this.message=i===""?p.pasteEmpty:/\s/.test(i)?p.pasteMalformed:"",this.message!==""){t?.focus();return}t&&(t.value=""),this.signIn.useToken(i)}}#e;firstUpdated(){this.find("input")?.focus()}render(){return n`<form novalidate @submit=${this.#t}>
${this.explain?n`<p>${p.pasteText}</p><p class="muted">${p.pasteHow}</p><pre class="note"><code>rally-api-keys token --tenant … --email … --scopes admin</code></pre>`:o}
<div class="field">
<label for=${this.#e}>${p.pasteLabel}</label>
<input id=${this.#e} type="password" autocomplete="off" spellcheck="false" aria-describedby="${this.#e}-hint" aria-invalid=${this.message?"true":"false"} />
<div id="${this.#e}-hint">
<p class="hint-text">${p.pasteHint}</p>
${this.message?n`<p class="field-error">${m("warning")}<span>${this.message}</span></p>`:o}
</div>
</div>
<button type="submit" class="button primary">${p.pasteSubmit}</button>
</form>`}#t};c([f({attribute:!1})],E.prototype,"signIn",2),c([f({type:Boolean})],E.prototype,"explain",2),c([h()],E.prototype,"message",2);y("rally-paste-token",E);var K=class extends C{mayClose(){return!1}render(){let{signIn:r}=this;return U(r)?this.frame(p.expiredTitle,n`<p>${p.expiredPaste}</p><rally-paste-token .signIn=${r}></rally-paste-token>`,o,{closable:!1}):this.frame(p.expiredTitle,n`<p>${p.expiredText}</p>`,n`<button type="button" class="button" @click=${()=>r.signOut()}>${p.signOut}</button>
<button type="button" class="button primary" data-focus @click=${()=>r.signIn()}>${p.signIn}</button>`,{closable:!1})}};c([f({attribute:!1})],K.prototype,"signIn",2);y("rally-session-dialog",K);function Ne(){let s=document.querySelector('meta[name="rally-console"]')?.content??"";try{return JSON.parse(s||"{}")}catch{return{}}}y("rally-console",I);export{I as RallyConsole};
