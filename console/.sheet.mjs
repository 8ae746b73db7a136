import { chromium } from 'playwright-core';
import { readFileSync } from 'node:fs';
const [out, cols, ...files] = process.argv.slice(2);
const b = await chromium.launch({ executablePath: '/usr/bin/chromium', args: ['--headless','--no-sandbox','--disable-gpu'] });
const p = await b.newPage({ viewport: { width: 2000, height: 800 } });
await p.setContent(`<style>body{margin:0;display:grid;grid-template-columns:repeat(${cols},1fr);gap:6px;background:#888}img{width:100%}</style>` + files.map(f => `<img src="data:image/png;base64,${readFileSync(f).toString('base64')}">`).join(''));
await p.screenshot({ path: out, fullPage: true });
await b.close();
