import { ImportList } from "./imports";
import { Start } from "./start";
import { useTitle } from "../ui/hooks";

export function Home() {
  useTitle("");
  return (
    <>
      <Start />
      <ImportList />
    </>
  );
}
