// On a page of its own: take the token out of the address, so that it is not copied with it.
export default {
  render() {
    const address = new URL(location);
    if (!address.searchParams.has('token')) return;
    address.searchParams.delete('token');
    history.replaceState(null, '', address);
  },
};
