// Runs the fake switch for development: `npm run fake`, then `TANDEM_URL=http://127.0.0.1:8080 npm run dev`.
import { runnerImport } from 'vite';

const { module } = await runnerImport(new URL('./fake-server.ts', import.meta.url).pathname);
const { url } = await module.startFake({
  port: Number(process.env.PORT ?? 8080),
  calls: Number(process.env.CALLS ?? 137),
});
console.log(`${url}  user ${module.USER}, password ${module.PASSWORD}`);
