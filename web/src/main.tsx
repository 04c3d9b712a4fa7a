import { MutationCache, QueryCache, QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { startTransition, StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { ApiError } from "./api/client";
import { askEarly } from "./api/early";
import { askForKey } from "./ui/key";
import { App } from "./app";
import { fetchScreen } from "./screens";
import "./styles/index.css";

/** From then on the frame is better than a skeleton: it can be used, and says what is wrong. */
const LATE_MS = 1_000;

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

const root = document.getElementById("root");
// Until then there is the document's own skeleton: to put another in its place, and then the screen in
// place of that, takes a phone as long as the screen itself.
const ready = Promise.all([fetchScreen(location.pathname), askEarly(cache)]);
const late = new Promise((resolve) => setTimeout(resolve, LATE_MS));
void Promise.race([ready, late]).then(() => {
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
