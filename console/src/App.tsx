/** What stands around all pages: language, theme, the store of server answers, the router. */
import { MutationCache, QueryCache, QueryClient, QueryClientProvider } from '@tanstack/react-query';
import { RouterProvider } from '@tanstack/react-router';
import { App as AntApp } from 'antd';
import { Problem } from './api/client';
import { LanguageProvider } from './i18n';
import { SESSION } from './lib/session';
import { router } from './router';
import { ThemeProvider } from './ui/theme';

/** A session that ended shows the sign-in page, wherever it was noticed. */
function noticeSignedOut(error: unknown) {
  if (error instanceof Problem && error.status === 401) queries.setQueryData(SESSION, null);
}

const queries = new QueryClient({
  queryCache: new QueryCache({ onError: noticeSignedOut }),
  mutationCache: new MutationCache({ onError: noticeSignedOut }),
  defaultOptions: {
    queries: {
      staleTime: 2_000,
      refetchOnWindowFocus: true,
      // A refusal stays a refusal; only silence is worth asking again.
      retry: (failures, error) =>
        failures < 2 && error instanceof Problem && (error.status === 0 || error.status >= 502),
    },
  },
});

export function App() {
  return (
    <QueryClientProvider client={queries}>
      <LanguageProvider>
        <ThemeProvider>
          <AntApp style={{ height: '100%' }}>
            <RouterProvider router={router} />
          </AntApp>
        </ThemeProvider>
      </LanguageProvider>
    </QueryClientProvider>
  );
}
