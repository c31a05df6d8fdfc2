using System.Text.Json;

namespace {% block namespace %}{% endblock %};

/// <summary>Reads settings in which a key that is unknown, missing, written twice or in another case is an error.</summary>
internal static class StrictJson
{
    private static readonly JsonSerializerOptions Options = new(JsonSerializerDefaults.Strict)
    {
        ReadCommentHandling = JsonCommentHandling.Skip,
        AllowTrailingCommas = true,
    };

    /// <exception cref="IOException">The file is missing or cannot be read.</exception>
    /// <exception cref="JsonException">It is damaged, or a key is unknown or missing.</exception>
    public static T Read<T>(string file) =>
        JsonSerializer.Deserialize<T>(File.ReadAllBytes(file), Options) ?? throw new JsonException("it is null");
}
