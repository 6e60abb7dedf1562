// A rule for secretlint, see ../README.md. @secretlint/secretlint-rule-pattern would not do: secretlint masks the
// names of its patterns together with the secrets, so a report would not say whose key was found.
const messages = {
  RALLY_CRM_API_KEY: {
    en: ({ KEY }) => `found API key of Rally CRM, not of Stripe: ${KEY}`,
  },
};

export const creator = {
  messages,
  meta: {
    id: 'secretlint-rule-rally-crm',
    recommended: false,
    type: 'scanner',
    supportedContentTypes: ['text'],
  },
  create(context) {
    const t = context.createTranslator(messages);
    return {
      file({ content }) {
        for (const { 0: KEY, index } of content.matchAll(/\brk_live_[0-9a-f]{32}\b/g)) {
          context.report({ message: t('RALLY_CRM_API_KEY', { KEY }), range: [index, index + KEY.length] });
        }
      },
    };
  },
};
