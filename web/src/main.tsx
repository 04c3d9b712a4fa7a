import { MutationCache, QueryCache, QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { startTransition, StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { ApiError } from "./api/client";
import { askEarly } from "./api/early";
import { askForKey } from "./ui/key";
import { App } from "./app";
import { fetchScreen } from "./screens";
import "./styles/index.css";

// Addresses of the earlier page, in old messages and bookmarks.
if (location.hash.startsWith("#/")) history.replaceState(null, "", location.hash.slice(1));

const refused = (error: Error): void => {
  if (error instanceof ApiError && error.status === 401) askForKey();
};

const cache = new QueryClient({
  queryCache: new QueryCache({ onError: refused }),
  mutationCache: new MutationCache({ onError: refused }),
  defaultOptions: {
    queries: {
      // A gateway on this machine answers without a network, too.
      networkMode: "always",
      refetchOnWindowFocus: false,
      refetchOnReconnect: false,
      staleTime: 2_000,
      // What may pass is asked again in the rhythm of each question.
      retry: false,
    },
    mutations: { networkMode: "always", retry: false },
  },
});

askEarly(cache);
const root = document.getElementById("root");
// Until then there is the document's own skeleton: to put another in its place would take a phone as long
// as the screen itself.
void fetchScreen(location.pathname).then(() => {
  if (!root) return;
  const page = createRoot(root);
  // In steps that let the browser breathe.
  startTransition(() =>
    page.render(
      <StrictMode>
        <QueryClientProvider client={cache}>
          <App />
        </QueryClientProvider>
      </StrictMode>,
    ),
  );
});
