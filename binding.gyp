{
  # CMakeLists.txt is the only build description: this file lets node-gyp, node-gyp-build and prebuildify
  # reach it. The output name is never created, so make always runs the action and CMake decides.
  "targets": [
    {
      "target_name": "warp",
      "type": "none",
      "actions": [
        {
          "action_name": "cmake",
          "inputs": ["CMakeLists.txt"],
          "outputs": ["<(PRODUCT_DIR)/always"],
          "action": ["node", "scripts/gyp-cmake.cjs", "<(CONFIGURATION_NAME)"]
        }
      ]
    }
  ]
}
