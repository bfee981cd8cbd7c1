// One script and one style sheet, which toporepro/report/explorer.py puts into the page.
import { defineConfig } from "vite";

export default defineConfig({
  build: {
    outDir: process.env.OUT ?? "../toporepro/report",
    emptyOutDir: false,
    target: "es2022",
    cssCodeSplit: false,
    license: { fileName: "explorer.bundle.licences.md" },
    rolldownOptions: {
      input: "src/main.tsx",
      output: {
        format: "iife",
        entryFileNames: "explorer.bundle.js",
        assetFileNames: "explorer.bundle[extname]",
      },
    },
  },
});
