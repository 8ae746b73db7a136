import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import react from '@vitejs/plugin-react';
import { defineConfig, type Plugin } from 'vite';

/** Writes a .gz beside each text asset; the server embeds these. Browsers do not offer br on plain http. */
function gzip(): Plugin {
  let out = '';
  const walk = (folder: string) => {
    for (const name of readdirSync(folder)) {
      const path = join(folder, name);
      if (statSync(path).isDirectory()) walk(path);
      else if (/\.(js|css|html|svg|json)$/.test(name))
        writeFileSync(`${path}.gz`, gzipSync(readFileSync(path), { level: 9 }));
    }
  };
  return {
    name: 'gzip',
    apply: 'build',
    configResolved: (config) => {
      out = join(config.root, config.build.outDir);
    },
    closeBundle: () => walk(out),
  };
}

/** Keeps the Host of the browser, so that the switch sees the same origin. */
const proxy = { '/api': { target: process.env.TANDEM_URL ?? 'http://127.0.0.1:8080', ws: true } };

export default defineConfig({
  base: '/',
  plugins: [react(), gzip()],
  server: { proxy },
  preview: { proxy },
  build: {
    outDir: 'dist',
    emptyOutDir: true,
    target: 'es2023',
    sourcemap: false,
    chunkSizeWarningLimit: 1100,
    rolldownOptions: {
      output: {
        // Vendor chunks keep their hash between our edits, so browsers keep them.
        codeSplitting: {
          groups: [
            { name: 'react', test: /node_modules[\\/](react|react-dom|scheduler|@tanstack)[\\/]/, priority: 20 },
            { name: 'chart', test: /node_modules[\\/]uplot/, priority: 20 },
          ],
        },
      },
    },
  },
});
