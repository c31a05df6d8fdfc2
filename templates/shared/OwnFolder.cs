namespace {% block namespace %}{% endblock %};

/// <summary>The folder of this {% block what %}{% endblock %}, whatever folder it is started from.</summary>
internal static class OwnFolder
{
    private const string Settings = {% block options %}{% endblock %}.FileName;

    /// <summary>Looks beside the program first (published), then in the folders above it (built in bin/).</summary>
    /// <exception cref="FileNotFoundException">No folder holds the settings.</exception>
    public static string Find()
    {
        for (var folder = new DirectoryInfo(AppContext.BaseDirectory); folder is not null; folder = folder.Parent)
        {
            if (File.Exists(Path.Combine(folder.FullName, Settings)))
            {
                return folder.FullName;
            }
        }

        throw new FileNotFoundException($"{Settings} is neither beside the program nor in a folder above it");
    }
}
