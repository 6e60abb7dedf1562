import { createApp, h } from 'vue';
import ApiKeys from './ApiKeys.vue';
import type { RallyApiKeysVueProps } from './rally-api-keys.js';

declare module 'vue' {
  interface GlobalComponents {
    'rally-api-keys': new () => { $props: RallyApiKeysVueProps };
  }
}

const root = document.getElementById('root');
if (root !== null) {
  const getToken = async () => (await fetch('/token')).text();
  createApp(() => h(ApiKeys, { baseUrl: root.dataset.baseUrl ?? '', getToken, onCreated: (id: string) => (document.title = `created ${id}`) })).mount(root);
}
