// React 19. The element's script may load before or after this renders: `token-request` is an event, so nothing is lost.
import { createRoot } from 'react-dom/client';
import type { RallyApiKeysElement, RallyApiKeysReactProps } from './rally-api-keys.js';

declare module 'react' {
  namespace JSX {
    interface IntrinsicElements {
      'rally-api-keys': RallyApiKeysReactProps & HTMLAttributes<RallyApiKeysElement> & RefAttributes<RallyApiKeysElement>;
    }
  }
}

interface Props {
  baseUrl: string;
  getToken: () => Promise<string>;
  onCreated?: (id: string) => void;
}

export function ApiKeys({ baseUrl, getToken, onCreated }: Props) {
  return (
    <rally-api-keys
      base-url={baseUrl}
      ontoken-request={(event) => event.detail.respondWith(getToken())}
      oncreated={(event) => onCreated?.(event.detail.id)}
    />
  );
}

const root = document.getElementById('root');
if (root !== null) {
  const getToken = async () => (await fetch('/token')).text();
  createRoot(root).render(<ApiKeys baseUrl={root.dataset.baseUrl ?? ''} getToken={getToken} onCreated={(id) => (document.title = `created ${id}`)} />);
}
