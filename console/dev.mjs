// Serves dist/ for development: SERVICE_URL (http://127.0.0.1:8080) is a running service.
import { startProxy } from './proxy.mjs';

const service = new URL(process.env.SERVICE_URL ?? 'http://127.0.0.1:8080');
const { port } = await startProxy({ service, fromFolder: true, port: Number(process.env.PORT ?? 8081) });
console.log(`http://acme.localhost:${port}/console (append #token=… to be signed in)`);
