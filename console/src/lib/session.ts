/** Who is signed in. `null` means nobody, which shows the sign-in page. */
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { Problem } from '../api/client';
import { session, type User } from '../api/resources';
import { live } from './useLive';

export const SESSION = ['session'];

async function whoAmI(): Promise<User | null> {
  try {
    return (await session.get()).user;
  } catch (error) {
    if (error instanceof Problem && error.status === 401) return null;
    throw error;
  }
}

export const useSession = () => useQuery({ queryKey: SESSION, queryFn: whoAmI, staleTime: Number.POSITIVE_INFINITY });

/** What the signed-in user may do: `may('accounts.edit')`. The switch decides; this only hides what it would refuse. */
export function useMay(): (right: string) => boolean {
  const user = useSession().data;
  return (right) => user?.rights.includes(right) ?? false;
}

export function useSignOut() {
  const queries = useQueryClient();
  return async () => {
    await session.signOut().catch(() => {});
    live.stop();
    queries.setQueryData(SESSION, null);
    // The next user must not see what this one was shown.
    queries.removeQueries({ predicate: (query) => query.queryKey[0] !== SESSION[0] });
  };
}
