"""Training data: sets of faces in any format, made into batches that never keep a device waiting.

``face_set`` opens a set; ``transforms`` varies its images; ``packed_cache`` keeps them decoded;
``loader`` makes batches of them. ``converting``, ``splitting`` and ``checking`` are behind the
commands of ``faceverify data``.
"""
