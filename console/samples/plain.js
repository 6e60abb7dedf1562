// In a file of its own, so that the page's content security policy needs no inline script.
const keys = document.querySelector('rally-api-keys');

// Called before each request. Return the token that you have until it ends.
keys.getToken = async () => {
  const response = await fetch('/token');
  return response.text();
};

keys.addEventListener('created', (event) => console.info('created', event.detail.id));
keys.addEventListener('sign-in-required', () => location.reload());
