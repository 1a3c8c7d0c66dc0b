import react from '@vitejs/plugin-react'
import { defineConfig } from 'vite'

export default defineConfig({
  plugins: [react()],
  // Django serves what is built as static files; its view reads their names from the manifest.
  base: './',
  build: {
    manifest: true,
    target: 'es2022',
    rollupOptions: { input: 'src/main.tsx' },
  },
})
