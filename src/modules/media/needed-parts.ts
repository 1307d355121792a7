/**
 * What an ffmpeg must have been built with to run what the argument builders of this module ask for. A test reads it out
 * of them, so that neither side forgets the other.
 */
export const NEEDED_PARTS = {
  encoders: ['libx264', 'aac', 'mjpeg'],
  decoders: ['h264', 'hevc', 'vp8', 'vp9', 'aac', 'mp3', 'opus', 'mjpeg', 'png', 'gif', 'webp'],
  muxers: ['mp4', 'matroska', 'hls', 'image2', 'data'],
  demuxers: ['mov', 'matroska', 'avi', 'mpegts', 'data', 'jpeg_pipe', 'png_pipe', 'gif', 'webp_pipe'],
  filters: [
    ...['setpts', 'bwdif', 'fps', 'tpad', 'trim', 'scale', 'setsar', 'split', 'zscale', 'format', 'tonemap'],
    ...['asetpts', 'aresample', 'apad', 'atrim', 'select', 'tile'],
    ...['crop', 'transpose', 'hflip', 'vflip', 'lutrgb', 'overlay'],
  ],
} as const;
