(() => {
  const box = document.querySelector('.search input'), hits = document.querySelector('.hits'), esc = s => s.replace(/[&<>"]/g, c => ({'&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;'}[c]));
  document.querySelector('header.bar button').onclick = () => document.querySelector('nav.site').classList.toggle('on');
  const here = document.querySelector('nav.site a.here'); if (here) { const n = here.closest('nav'); n.scrollTop = here.offsetTop - n.clientHeight / 2; }
  // an entry is [page, anchor, title, what it is, text]; every word must be found, and a name counts more than a sentence
  function score(e, words) {
    const title = e[2].toLowerCase(), text = e[4].toLowerCase(); let sum = 0;
    for (const w of words) {
      const s = title === w ? 30 : title.startsWith(w) ? 14 : title.includes(w) ? 8 : text.includes(w) ? 2 : 0;
      if (!s) return 0;
      sum += s;
    }
    return sum + (e[3] === 'page' ? 3 : 0) - title.length / 100;
  }
  let at = -1;
  function search() {
    const words = box.value.toLowerCase().split(/\s+/).filter(Boolean);
    at = -1; hits.classList.toggle('on', words.length > 0);
    if (!words.length) return;
    const found = window.SEARCH.map(e => [score(e, words), e]).filter(f => f[0] > 0).sort((a, b) => b[0] - a[0]).slice(0, 14);
    hits.innerHTML = found.map(([, e]) => `<a href="${e[0]}${e[1] ? '#' + e[1] : ''}"><b>${esc(e[2])}</b><small>${esc(e[3] === 'page' ? '' : e[3])}</small><p>${esc(e[4])}</p></a>`).join('') || '<div class="none">Nothing found. Try one word, or a name such as pose_cyclegan_learner.</div>';
  }
  box.addEventListener('input', search); box.addEventListener('focus', search);
  box.addEventListener('keydown', e => {
    const all = [...hits.querySelectorAll('a')];
    if (e.key === 'Escape') { hits.classList.remove('on'); box.blur(); }
    if (e.key === 'Enter' && all.length) location.href = all[Math.max(at, 0)].href;
    if (e.key === 'ArrowDown' || e.key === 'ArrowUp') {
      e.preventDefault(); at = Math.min(Math.max(at + (e.key === 'ArrowDown' ? 1 : -1), 0), all.length - 1);
      all.forEach((a, i) => a.classList.toggle('at', i === at)); all[at]?.scrollIntoView({block: 'nearest'});
    }
  });
  document.addEventListener('click', e => { if (!e.target.closest('.search')) hits.classList.remove('on'); });
  document.addEventListener('keydown', e => { if (e.key === '/' && !/INPUT|TEXTAREA|SELECT/.test(e.target.tagName)) { e.preventDefault(); box.focus(); } });
  const cards = [...document.querySelectorAll('.map .card')], of = c => c.dataset.needs.split(' ');
  for (const c of cards) {
    const mark = on => { c.classList.toggle('self', on); for (const d of cards) { d.classList.toggle('in', on && of(c).includes(d.dataset.name)); d.classList.toggle('out', on && of(d).includes(c.dataset.name)); } };
    c.addEventListener('mouseenter', () => mark(true)); c.addEventListener('mouseleave', () => mark(false)); c.addEventListener('focus', () => mark(true)); c.addEventListener('blur', () => mark(false));
  }
})();
