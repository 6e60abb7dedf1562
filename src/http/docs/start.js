// Shows /openapi.json by Swagger UI. Credentials stay in the memory of this page. No external validator is called.

/** The dark scheme, where the system asks for it. */
const dark = window.matchMedia('(prefers-color-scheme: dark)');
const applyScheme = () => document.documentElement.classList.toggle('dark-mode', dark.matches);
dark.addEventListener('change', applyScheme);
applyScheme();

/** What a person reads: the same description, in less height, for calls to this host. */
function forPeople(spec) {
  spec.servers = [{ url: window.location.origin }];
  // One operation stands for all methods.
  const check = spec.paths['/forward-auth'];
  spec.paths['/forward-auth'] = { get: check.get };
  for (const operation of Object.values(spec.paths).flatMap(Object.values)) {
    joinProblems(operation);
    operation.parameters?.filter((parameter) => !parameter.required).forEach(leaveEmpty);
  }
  return spec;
}

/** Makes one response of all problems: otherwise each operation is several screens high. */
function joinProblems(operation) {
  const isProblem = ([, response]) => response.content?.['application/problem+json'];
  const problems = Object.entries(operation.responses).filter(isProblem);
  if (problems.length === 0) return;
  const examples = problems.map(([, response]) => response.content['application/problem+json'].examples);
  const lines = problems.map(([status, response]) => `- ${status}: ${response.description}`);
  for (const [status] of problems) delete operation.responses[status];
  operation.responses.default = {
    description: `A problem document, by status and \`code\`:\n\n${lines.join('\n')}`,
    content: {
      'application/problem+json': {
        schema: { $ref: '#/components/schemas/Problem' },
        examples: Object.assign({}, ...examples),
      },
    },
  };
}

/** Of a parameter that is optional, the example is shown and not filled in: nobody wants all filters at once. */
function leaveEmpty(parameter) {
  parameter.description = `${parameter.description}. For example \`${parameter.example}\``;
  delete parameter.example;
}

const questions = {
  '/api/v1/api-keys/{id}': 'Revoke this key for good? Whatever uses it stops working at once.',
  '/api/v1/api-keys/self': 'Revoke the key that you are using, for good? Whatever uses it stops working at once.',
  '/api/v1/api-keys/{id}/previous-secret': 'End the previous secret now? Whatever still uses it stops working.',
  '/api/v1/api-keys/self/previous-secret': 'End your previous secret now? Whatever still uses it stops working.',
};

/** Asks for confirmation before a call that revokes access; hides the list of servers, since there is one; labels unlabelled controls. */
const plugin = ({ React }) => {
  const h = React.createElement;
  const named = (name) => (Field) => (props) =>
    h('label', null, h('span', { className: 'unseen' }, name), h(Field, props));
  return {
    wrapComponents: {
      execute: (Execute) => (props) => {
        const ask = (event) => {
          if (props.method === 'delete' && !window.confirm(questions[props.path])) event.stopPropagation();
        };
        return h('div', { className: 'asks-first', onClickCapture: ask }, h(Execute, props));
      },
      ServersContainer: () => () => null,
      // A link within the button that opens the operation would be no valid HTML.
      DeepLink: () => ({ text }) => h('span', null, text),
      // It scrolls in itself, also by the keyboard.
      HighlightCode: (Code) => (props) => {
        const focusable = (code) => code?.querySelector('.microlight')?.setAttribute('tabindex', '0');
        return h('div', { ref: focusable }, h(Code, props));
      },
      ExamplesSelect: named('Example'),
      RequestBodyEditor: named('Request body'),
      authorizationPopup: (Popup) => (props) => {
        const name = (popup) => {
          popup?.querySelector('.close-modal').setAttribute('aria-label', 'Close');
          popup?.querySelectorAll('.authorize').forEach((button) => button.removeAttribute('aria-label'));
        };
        return h('div', { ref: name }, h(Popup, props));
      },
    },
  };
};

/** Calls need a tenant's host: one label before the base domain. */
function isTenantHost(baseDomain) {
  const [label, ...rest] = window.location.hostname.split('.');
  return label !== '' && rest.join('.') === baseDomain;
}

async function start() {
  const response = await fetch('/openapi.json');
  const spec = await response.json();
  const [, ...baseDomain] = new URL(spec.servers[0].url).hostname.split('.');
  const canCall = isTenantHost(baseDomain.join('.'));
  if (!canCall) {
    spec.info.description += `\n\n**To try calls, open this page on a tenant's host, \`<tenant>.${baseDomain.join('.')}\`.**`;
  }
  window.ui = SwaggerUIBundle({
    spec: forPeople(spec),
    dom_id: '#swagger-ui',
    deepLinking: true,
    defaultModelsExpandDepth: -1,
    displayRequestDuration: true,
    persistAuthorization: false,
    plugins: [plugin],
    ...(!canCall && { supportedSubmitMethods: [] }),
    validatorUrl: null,
  });
}

start();
